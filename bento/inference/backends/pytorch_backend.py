"""The `pytorch` backend: TorchScript files on the CPU or on CUDA. The only module of the server that imports torch."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import ml_dtypes
import numpy as np
import torch
from tritonclient.grpc.model_config_pb2 import ModelConfig, ModelInstanceGroup

from bento.inference.backends.interface import Instance, ModelSource
from bento.inference.backends.joined import JoinedInstance
from bento.inference.core.devices import cores
from bento.inference.core.errors import BackendFailed, LoadFailed
from bento.inference.core.messages import Tensor


class TorchModel:
    """A TorchScript file. Instances on the same device share one module: inference does not change it."""

    is_deferred = False

    def __init__(self, source: ModelSource) -> None:
        self._source = source
        self._modules: dict[str, Any] = {}
        if not source.model_file.is_file():
            raise LoadFailed(
                f"failed to load model '{source.name}': unable to find '{source.model_file}' for model instance"
            )

    def complete_config(self, config: ModelConfig) -> None:
        """Nothing: TorchScript knows neither names nor shapes of its tensors. Raises: LoadFailed without them."""
        if not config.input or not config.output:
            raise LoadFailed(
                f"unable to autofill for '{config.name}': model configuration must specify input and output of a "
                "TorchScript model"
            )

    def create_instance(self, name: str, config: ModelConfig, kind: int, device_id: int) -> Instance:
        """An instance on the CPU or, for KIND_GPU, on that GPU."""
        device = f"cuda:{device_id}" if kind == ModelInstanceGroup.KIND_GPU else "cpu"
        if device not in self._modules:
            self._modules[device] = self._load(device, config)
        return JoinedInstance(_TorchFunction(self._modules[device], device, config), config)

    def close(self) -> None:
        """Free the modules."""
        self._modules.clear()

    def _load(self, device: str, config: ModelConfig) -> Any:
        if device == "cpu":
            torch.set_num_threads(_threads(config, self._source.options.intra_op_threads))
        try:
            module = torch.jit.load(str(self._source.model_file), map_location=device)
        except (RuntimeError, ValueError) as error:
            raise LoadFailed(f"failed to load model '{config.name}': {error}") from error
        module.eval()
        return module


class _TorchFunction:
    """Runs a TorchScript module; inputs go in by name or by the order that their names tell."""

    is_reentrant = False

    def __init__(self, module: Any, device: str, config: ModelConfig) -> None:
        self.device = device
        # What TorchScript compiles as it runs goes to the current device, not to that of its inputs.
        self._current_device: AbstractContextManager[Any] = nullcontext()
        if device != "cpu":
            self._current_device = torch.cuda.device(device)
        self._module = module
        self._outputs = _output_order([output.name for output in config.output])
        names = [argument.name for argument in module.forward.schema.arguments[1:]]
        given = [declared.name for declared in config.input]
        self._inputs = _input_order(given, names)
        self._inference_mode = not _is_true(config, "DISABLE_OPTIMIZED_EXECUTION")

    def run(self, inputs: dict[str, Tensor], outputs: Sequence[str]) -> dict[str, Tensor]:
        """Compute all outputs. Raises: BackendFailed."""
        try:
            arguments = [self._to_torch(inputs[name]) for name in self._inputs if name in inputs]
            optimized = torch.jit.optimized_execution(self._inference_mode)
            with torch.inference_mode(), self._current_device, optimized:
                results = self._module(*arguments)
            if isinstance(results, dict):
                return {name: _to_numpy(results[name]) for name in self._outputs}
            if isinstance(results, torch.Tensor):
                results = (results,)
            if len(results) < len(self._outputs):
                raise BackendFailed(
                    f"configuration expects {len(self._outputs)} outputs, the model returned {len(results)}"
                )
            return {name: _to_numpy(result) for name, result in zip(self._outputs, results, strict=False)}
        except (RuntimeError, KeyError, TypeError) as error:  # what TorchScript raises for a failed model
            raise BackendFailed(f"PyTorch execute failure: {error}") from error

    def close(self) -> None:
        """Nothing is held beside the module."""

    def _to_torch(self, tensor: Tensor) -> torch.Tensor:
        if tensor.dtype == np.object_:
            raise BackendFailed("PyTorch models of this server take no BYTES tensors")
        array = np.ascontiguousarray(tensor)
        if not array.flags.writeable:
            array = array.copy()  # torch knows no read-only memory
        if array.dtype == ml_dtypes.bfloat16:
            return torch.from_numpy(array.view(np.int16)).view(torch.bfloat16).to(self.device)
        return torch.from_numpy(array).to(self.device)


def _to_numpy(tensor: torch.Tensor) -> Tensor:
    tensor = tensor.detach().cpu().contiguous()
    if tensor.dtype == torch.bfloat16:
        words: Tensor = tensor.view(torch.int16).numpy()
        return words.view(ml_dtypes.bfloat16)
    values: Tensor = tensor.numpy()
    return values


def _input_order(given: list[str], arguments: list[str]) -> list[str]:
    """Names of inputs in the order of the module's arguments.

    Triton's convention: the argument's own name, or NAME__<index>; else the order of the configuration.
    """
    if sorted(given) == sorted(arguments):
        return arguments
    return _by_index(given)


def _output_order(given: list[str]) -> list[str]:
    return _by_index(given)


def _by_index(names: list[str]) -> list[str]:
    indices = [name.rpartition("__")[2] for name in names]
    if all(index.isdecimal() for index in indices):
        return [name for _, name in sorted(zip(map(int, indices), names, strict=True))]
    return names


def _is_true(config: ModelConfig, key: str) -> bool:
    return config.parameters[key].string_value.lower() in ("true", "1") if key in config.parameters else False


def _threads(config: ModelConfig, default: int) -> int:
    """torch has one thread pool for all models: the last one loaded on the CPU decides."""
    key = "INTRA_OP_THREAD_COUNT"
    told = config.parameters[key].string_value if key in config.parameters else ""
    return int(told) if told.isdecimal() and int(told) > 0 else default or max(1, cores() // 4)
