"""The Triton-style inference server: models from a repository, batched, behind the v2 protocol.

A request passes, in this order:

- `over_http` or `over_grpc`: the wire; `protocol` is what both share (tensors, shared memory, classes, settings);
- `server`: the in-process face, which anything in this process may call instead of the wire;
- `repository`: which models there are, and which of their versions answers;
- `models`: what a loaded model takes and gives, ensembles, the response cache, statistics and metrics;
- `scheduling`: with whom it shares a batch, when and on which instance that runs;
- `backends`: onnxruntime, TorchScript and Python models.

`python -m bento.inference` (`standalone`) runs it alone; `bento.serving.worker` runs it beside the recommender.
"""

import os

# grpcio's newer way to listen hands every message through threads of its own before the one that asyncio waits on sees
# it: 3 wake-ups and about 75 us of CPU per call (a bare grpc.aio echo with and without). grpcio reads this when it is
# first imported; whoever sets the variable decides.
os.environ.setdefault("GRPC_EXPERIMENTS", "-event_engine_listener")
