"""The `onnxruntime` backend: ONNX files on the CPU or, where onnxruntime was built for it, on CUDA.

Parameters and execution accelerators carry the names of Triton's ONNX Runtime backend.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

import ml_dtypes
import numpy as np
import onnxruntime
import structlog
from tritonclient.grpc.model_config_pb2 import ModelConfig, ModelInstanceGroup

from bento.inference.backends.interface import BoundRun, Instance, ModelSource
from bento.inference.backends.joined import JoinedInstance
from bento.inference.backends.onnxruntime_graph import check_config, complete_config
from bento.inference.backends.onnxruntime_settings import providers, session_options
from bento.inference.core.errors import BackendFailed, BackendMissing, LoadFailed
from bento.inference.core.messages import Tensor
from bento.inference.core.model_config import path_inside

log = structlog.get_logger()

_BFLOAT16_ONNX_TYPE = 16
"""`TensorProto.BFLOAT16`, written out because serving does not need the onnx package."""


class OnnxModel:
    """An ONNX file. Instances on the same device share one session: `Run` may be called from many threads."""

    is_deferred = False

    def __init__(self, source: ModelSource) -> None:
        self._source = source
        self._sessions: dict[str, onnxruntime.InferenceSession] = {}
        path = source.model_file
        self._path = path / "model.onnx" if path.is_dir() else path
        if not self._path.is_file():
            raise LoadFailed(f"unable to find '{self._path}' for model instance '{source.name}'")

    def complete_config(self, config: ModelConfig) -> None:
        """Inputs, outputs and batching, as far as the graph tells."""
        if not (config.input and config.output):
            complete_config(config, self._any_session(config))

    def create_instance(self, name: str, config: ModelConfig, kind: int, device_id: int) -> Instance:
        """An instance on the CPU or, for KIND_GPU, on that GPU."""
        session = self._session(config, device_id if kind == ModelInstanceGroup.KIND_GPU else None)
        check_config(config, session)
        on_gpu = session.get_providers()[0] in ("CUDAExecutionProvider", "TensorrtExecutionProvider")
        device = f"cuda:{device_id}" if on_gpu else "cpu"
        if kind == ModelInstanceGroup.KIND_GPU and not on_gpu:
            self._complain_of_the_cpu(name, device_id)
        if on_gpu and not _has_strings(session):  # strings cannot be bound
            return JoinedInstance(BoundSession(session, device), config)
        fast = _shorter_runs(session) if self._source.options.fast_path else None
        return JoinedInstance(PlainSession(session, device, fast), config)

    def close(self) -> None:
        """Free the sessions."""
        self._sessions.clear()

    def _complain_of_the_cpu(self, instance: str, gpu: int) -> None:
        """onnxruntime takes the CPU, without an error, where it cannot load the GPU's libraries.

        Raises: LoadFailed when the options demand CUDA.
        """
        if self._source.options.device == "cuda":
            raise LoadFailed(
                f"device 'cuda' is demanded but onnxruntime could not use GPU {gpu} for instance '{instance}': are the "
                "CUDA and cuDNN libraries that it was built for installed?"
            )
        log.warning("onnxruntime could not use the GPU, the CPU serves instead", instance=instance, gpu=gpu)

    def _any_session(self, config: ModelConfig) -> onnxruntime.InferenceSession:
        gpus = [
            gpu for group in config.instance_group if group.kind == ModelInstanceGroup.KIND_GPU for gpu in group.gpus
        ]
        return self._session(config, gpus[0] if gpus else None)

    def _session(self, config: ModelConfig, gpu: int | None) -> onnxruntime.InferenceSession:
        device = "cpu" if gpu is None else f"cuda:{gpu}"
        if device not in self._sessions:
            options = session_options(config, self._source.options)
            libraries = [self._operator_library(name) for name in config.model_operations.op_library_filename]
            try:
                for library in libraries:
                    options.register_custom_ops_library(str(library))
                session = self._made_session(config, options, gpu)
            except LoadFailed:
                raise
            except Exception as error:  # onnxruntime's exceptions share no other base class
                raise LoadFailed(f"onnx runtime error: {error}") from error
            self._sessions[device] = session
        return self._sessions[device]

    def _made_session(
        self, config: ModelConfig, options: onnxruntime.SessionOptions, gpu: int | None
    ) -> onnxruntime.InferenceSession:
        """A session with the first execution provider that works; unless the options demand CUDA, perhaps the CPU's.

        onnxruntime's own way to fall back is off: it forgets the providers' options, the number of the GPU among them,
        and prints instead of logging. Raises: LoadFailed, and what onnxruntime raises.
        """
        chosen = providers(config, gpu)
        while True:
            try:
                return onnxruntime.InferenceSession(self._path, options, providers=chosen, enable_fallback=0)
            except Exception as error:  # TensorRT missing: RuntimeError; a driver too old: an Exception of their own
                (provider, _), *others = chosen
                must_be_cuda = gpu is not None and self._source.options.device == "cuda"
                if not others or (len(others) == 1 and must_be_cuda):
                    raise
                log.warning(
                    "execution provider failed, left out", model=config.name, provider=provider, reason=str(error)
                )
                chosen = others

    def _operator_library(self, name: str) -> Path:
        """A library of operators: code, like a Python model. Raises: LoadFailed, BackendMissing."""
        if self._source.is_uploaded or not self._source.options.trust_python_models:
            raise BackendMissing(
                f"model '{self._source.name}' loads the library '{name}': that runs only where code of the repository "
                "is trusted (trust_python_models)"
            )
        return path_inside(self._source.folder, name)


class ShorterRuns(Protocol):
    """What the fast path has for a session: see `onnxruntime_fast`."""

    run: Callable[[Sequence[str], dict[str, Tensor], Any], list[Tensor]]
    """As `InferenceSession.run`."""

    def bound(self, inputs: dict[str, Tensor], outputs: dict[str, Tensor]) -> BoundRun | None:
        """The session with memory for tensors like these, which it just took and gave, where it can have such."""


def _shorter_runs(session: onnxruntime.InferenceSession) -> ShorterRuns | None:
    """None where this onnxruntime lacks what they need."""
    from bento.inference.backends.onnxruntime_fast import fast_session

    return fast_session(session)


class PlainSession:
    """Runs a session on tensors in CPU memory; they pass as they are, but for strings and BF16."""

    def __init__(self, session: onnxruntime.InferenceSession, device: str, fast: ShorterRuns | None) -> None:
        """`fast`: shorter ways to run the session, where they are used."""
        self.device = device
        self.is_reentrant = device == "cpu"
        self._session = session
        self._output_names = [io.name for io in session.get_outputs()]
        self._has_strings = _has_strings(session)
        self._has_bfloat16 = "tensor(bfloat16)" in _types(session)
        self._fast = fast
        self._run = session.run if fast is None else fast.run

    def run(self, inputs: dict[str, Tensor], outputs: Sequence[str]) -> dict[str, Tensor]:
        """Compute the named outputs. Raises: BackendFailed."""
        names = outputs or self._output_names
        try:
            if self._has_bfloat16:
                return self._run_with_values(inputs, list(names))
            if self._has_strings:
                inputs = {name: _as_text(tensor) for name, tensor in inputs.items()}
            tensors = self._run(names, inputs, None)
        except (BackendFailed, MemoryError):
            raise
        except Exception as error:  # onnxruntime's exceptions share no other base class
            raise BackendFailed(f"onnx runtime error: {error}") from error
        if self._has_strings:
            tensors = [_as_bytes(tensor) for tensor in tensors]
        return dict(zip(names, tensors, strict=True))

    def _run_with_values(self, inputs: dict[str, Tensor], names: list[str]) -> dict[str, Tensor]:
        """onnxruntime's NumPy interface knows no BF16: it goes in and out as raw 16-bit words."""
        values = {name: _to_value(tensor) for name, tensor in inputs.items()}
        results = self._session.run_with_ort_values(names, values)
        return {name: _from_value(value) for name, value in zip(names, results, strict=True)}

    def fixed(self, inputs: dict[str, Tensor], outputs: dict[str, Tensor]) -> BoundRun | None:
        """Itself with memory for tensors like these, which it just took and gave; None when it cannot repeat that."""
        if self._fast is None or self._has_strings or self._has_bfloat16:
            return None
        return self._fast.bound(inputs, outputs)

    def close(self) -> None:
        """Nothing is held beside the session."""


class BoundSession:
    """Runs a session on a GPU with I/O binding: each tensor is copied once, there before the run and back at its end.

    Nothing here names the GPU's memory, so that every build of onnxruntime takes the same calls, the CPU's too.
    """

    is_reentrant = False

    def __init__(self, session: onnxruntime.InferenceSession, device: str) -> None:
        self.device = device
        self._session = session
        self._binding = session.io_binding()
        self._output_names = [output.name for output in session.get_outputs()]

    def run(self, inputs: dict[str, Tensor], outputs: Sequence[str]) -> dict[str, Tensor]:
        """Compute the named outputs. Raises: BackendFailed."""
        names = list(outputs or self._output_names)
        binding = self._binding
        try:
            # Binding a value queues its copy to the device: until the run is over, what is copied must not be freed.
            values = {name: _to_value(tensor) for name, tensor in inputs.items()}
            for name, value in values.items():
                binding.bind_ortvalue_input(name, value)
            for name in names:
                binding.bind_output(name, "cpu")
            self._session.run_with_iobinding(binding)
            return {name: _from_value(value) for name, value in zip(names, binding.get_outputs(), strict=True)}
        except BackendFailed:
            raise
        except Exception as error:  # onnxruntime's exceptions share no other base class
            raise BackendFailed(f"onnx runtime error: {error}") from error
        finally:
            self.close()

    def close(self) -> None:
        """Free the device memory that is still bound."""
        self._binding.clear_binding_inputs()
        self._binding.clear_binding_outputs()


def _types(session: onnxruntime.InferenceSession) -> set[str]:
    arguments = (*session.get_inputs(), *session.get_overridable_initializers(), *session.get_outputs())
    return {argument.type for argument in arguments}


def _has_strings(session: onnxruntime.InferenceSession) -> bool:
    return "tensor(string)" in _types(session)


def _as_text(tensor: Tensor) -> Tensor:
    """onnxruntime takes strings as `str`; it would write out the repr of `bytes`."""
    if tensor.dtype != np.object_:
        return tensor
    text = np.empty(tensor.shape, dtype=np.object_)
    try:
        text.ravel()[:] = [element.decode() if isinstance(element, bytes) else element for element in tensor.ravel()]
    except UnicodeDecodeError as error:
        raise BackendFailed(f"onnx runtime error: string tensors must be UTF-8: {error}") from error
    return text


def _as_bytes(tensor: Tensor) -> Tensor:
    if tensor.dtype != np.object_:
        return tensor
    encoded = np.empty(tensor.shape, dtype=np.object_)
    encoded.ravel()[:] = [element.encode() for element in tensor.ravel()]
    return encoded


def _to_value(tensor: Tensor) -> onnxruntime.OrtValue:
    if tensor.dtype == ml_dtypes.bfloat16:
        words = np.ascontiguousarray(tensor).view(np.uint16)
        return onnxruntime.OrtValue.ortvalue_from_numpy_with_onnx_type(words, _BFLOAT16_ONNX_TYPE)
    return onnxruntime.OrtValue.ortvalue_from_numpy(np.ascontiguousarray(_as_text(tensor)))


def _from_value(value: onnxruntime.OrtValue) -> Tensor:
    if value.data_type() != "tensor(bfloat16)":
        return _as_bytes(value.numpy())
    shape = tuple(value.shape())
    words = (ctypes.c_uint16 * int(np.prod(shape))).from_address(value.data_ptr())
    return np.ctypeslib.as_array(words).copy().view(ml_dtypes.bfloat16).reshape(shape)
