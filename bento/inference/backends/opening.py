"""Opens a model with the backend that its configuration names. Each backend is imported when it is first needed."""

from __future__ import annotations

import importlib.util

from bento.inference.backends.interface import ModelSource, OpenedModel
from bento.inference.core.errors import BackendMissing, LoadFailed


def open_model(source: ModelSource) -> OpenedModel:
    """Open a model with the backend that its configuration names.

    Raises: LoadFailed, BackendMissing.
    """
    backend = source.config.backend
    if backend == "onnxruntime":
        from bento.inference.backends.onnxruntime_backend import OnnxModel

        return OnnxModel(source)
    if backend == "pytorch":
        if importlib.util.find_spec("torch") is None:
            raise BackendMissing("backend 'pytorch' needs torch, which is not installed")
        if source.options.defer_pytorch and source.config.input and source.config.output:
            from bento.inference.backends.deferred import DeferredModel

            return DeferredModel(source, open_pytorch)
        return open_pytorch(source)
    if backend == "python":
        from bento.inference.backends.python_models.backend import PythonModel

        return PythonModel(source)
    raise LoadFailed(
        f"unable to find backend library for backend '{backend}', try specifying runtime on the model configuration."
    )


def open_pytorch(source: ModelSource) -> OpenedModel:
    """Open a TorchScript model. Raises: LoadFailed, BackendMissing."""
    try:
        from bento.inference.backends.pytorch_backend import TorchModel
    except ImportError as error:
        raise BackendMissing(f"backend 'pytorch' needs torch, which is not installed: {error}") from error

    return TorchModel(source)
