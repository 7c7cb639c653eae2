"""How an inference server is started."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal


@dataclass(frozen=True, slots=True)
class ServerOptions:
    """What `InferenceServer.start` needs to know. Names follow tritonserver's flags."""

    repositories: tuple[Path, ...]
    """Model repositories; a model found in two of them is served from neither."""
    model_control_mode: Literal["none", "explicit", "poll"] = "none"
    load_models: tuple[str, ...] = ()
    """Explicit mode: models to load at start; `*` loads all."""
    left_out: Mapping[str, str] = field(default_factory=dict)
    """Models that are not loaded at start though they were asked for, with the reason that the repository index gives.
    They do not count against readiness."""
    repository_poll_secs: float = 15.0
    exit_on_error: bool = True
    """A model that fails to load at start stops the start."""
    strict_readiness: bool = True
    """The server is ready only when every model is."""
    strict_model_config: bool = False
    """Refuse models whose config.pbtxt is incomplete instead of completing it from the model file."""
    trust_python_models: bool = False
    """Run the `model.py` of Python-backend models: code from the repository, with the server's rights."""
    release: int | None = None
    """Serve exactly this version of every model that has it; overrides the version policy."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    server_id: str = "triton"
    """`name` in the server metadata; clients of Triton expect "triton"."""
    defer_pytorch: bool = False
    """Call TorchScript models ready while torch is still being imported, which takes seconds; their first requests wait
    in the queue. For repositories whose files are already proven: a model that fails then fails its requests."""
    response_cache_bytes: int = 0
    """Size of the local response cache; 0 = no cache."""
    fast_path: bool = True
    """Take shortcuts for repeated kinds of requests, some of them on private parts of uvicorn and onnxruntime."""
    intra_op_threads: int = 0
    """Threads of one operator for models whose config names none; 0 = chosen from the cores at hand."""
    shutdown_timeout_s: float = 30.0
    """How long `close` waits for requests in flight."""
