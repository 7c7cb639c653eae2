"""The Triton-style inference server: models from a repository, batched, behind the v2 protocol.

A request passes these packages from top to bottom, and each imports only packages below it:

- `over_http`, `over_grpc`: the wire; `over_http/fast` is the fast path, which can be switched off;
- `protocol`: what both share: tensors as bytes and JSON, shared memory, classes, settings, metrics. It stands above
  `server` because it puts decoded requests to it;
- `server`: the in-process interface, which anything in this process may call instead of the wire;
- `repository`: which models there are, and which of their versions answers;
- `models`: what a loaded model takes and gives, ensembles, the response cache, statistics;
- `scheduling`: which requests share a batch, when and on which instance it runs;
- `backends`: onnxruntime, TorchScript and Python models behind one interface;
- `core`: requests, answers, errors, data types, options.

`python -m bento.inference` (`standalone`) runs it alone; `bento.serving.worker` runs it beside the recommender.
"""

import os

# grpcio's newer way to listen hands every message through threads of its own before the one that asyncio waits on sees
# it: 3 wake-ups and about 75 us of CPU per call (a bare grpc.aio echo with and without). grpcio reads this when it is
# first imported; a value that is set already stays.
os.environ.setdefault("GRPC_EXPERIMENTS", "-event_engine_listener")
