"""The `pytorch` backend: TorchScript files on the CPU or on CUDA. The only module of the server that imports torch."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import ml_dtypes
import numpy as np
import torch
from tritonclient.grpc.model_config_pb2 import ModelConfig, ModelInstanceGroup, ModelOutput

from bento.inference.backends.interface import Instance, ModelSource
from bento.inference.backends.joined import JoinedInstance
from bento.inference.core.devices import cores
from bento.inference.core.errors import BackendFailed, LoadFailed
from bento.inference.core.messages import Tensor

_DICT_OF_TENSORS, _LIST_OF_STRINGS = "Dict[str, Tensor]", "List[str]"
"""TorchScript's names of types."""


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
    """Runs a TorchScript module; inputs go in by name or by the order that their names tell.

    A module with one argument `Dict[str, Tensor]` gets all inputs in it by name; BYTES are `List[str]`. Out come
    tensors and lists of strings, one by one, as a tuple or list, or in a dict by the outputs' names.
    """

    is_reentrant = False

    def __init__(self, module: Any, device: str, config: ModelConfig) -> None:
        self.device = device
        # What TorchScript compiles as it runs goes to the current device, not to that of its inputs.
        self._current_device: AbstractContextManager[Any] = nullcontext()
        if device != "cpu":
            self._current_device = torch.cuda.device(device)
        self._module = module
        self._outputs = _output_order([output.name for output in config.output])
        self._string_shapes = {output.name: _string_shape(output, config) for output in config.output}
        schema = module.forward.schema
        types = {argument.name: argument.type.annotation_str for argument in schema.arguments[1:]}
        self._takes_dict = list(types.values()) == [_DICT_OF_TENSORS]
        self._returns_strings = schema.returns[0].type.annotation_str == _LIST_OF_STRINGS
        self._inputs = _input_order([declared.name for declared in config.input], list(types))
        self._takes_strings = {
            name for name, kind in zip(self._inputs, types.values(), strict=False) if kind == _LIST_OF_STRINGS
        }
        self._inference_mode = not _is_true(config, "DISABLE_OPTIMIZED_EXECUTION")

    def run(self, inputs: dict[str, Tensor], outputs: Sequence[str]) -> dict[str, Tensor]:
        """Compute all outputs. Raises: BackendFailed."""
        try:
            given = {name: self._to_torch(name, inputs[name]) for name in self._inputs if name in inputs}
            arguments = (given,) if self._takes_dict else given.values()
            optimized = torch.jit.optimized_execution(self._inference_mode)
            with torch.inference_mode(), self._current_device, optimized:
                returned = self._module(*arguments)
            return {name: self._to_numpy(name, value) for name, value in self._by_name(returned).items()}
        except (RuntimeError, TypeError, UnicodeDecodeError) as error:  # what TorchScript raises for a failed model
            raise BackendFailed(f"PyTorch execute failure: {error}") from error

    def close(self) -> None:
        """Nothing is held beside the module."""

    def _by_name(self, returned: Any) -> dict[str, Any]:
        """What the module returned for each output. Raises: BackendFailed."""
        if isinstance(returned, dict):
            missing = [name for name in self._outputs if name not in returned]
            if missing:
                raise BackendFailed(
                    f"the configuration has the output '{missing[0]}', the model returned a dict of "
                    f"{', '.join(map(repr, returned)) or 'nothing'}"
                )
            return {name: returned[name] for name in self._outputs}
        if self._returns_strings or not isinstance(returned, tuple | list):
            returned = (returned,)
        if len(returned) < len(self._outputs):
            raise BackendFailed(
                f"configuration expects {len(self._outputs)} outputs, the model returned {len(returned)}"
            )
        return dict(zip(self._outputs, returned, strict=False))

    def _to_torch(self, name: str, tensor: Tensor) -> torch.Tensor | list[str]:
        if tensor.dtype == np.object_:
            if name not in self._takes_strings:
                raise BackendFailed(f"input '{name}' is BYTES, which PyTorch models take as an argument List[str]")
            return _to_text(name, tensor)
        array = np.ascontiguousarray(tensor)
        if not array.flags.writeable:
            array = array.copy()  # torch knows no read-only memory
        if array.dtype == ml_dtypes.bfloat16:
            return torch.from_numpy(array.view(np.int16)).view(torch.bfloat16).to(self.device)
        return torch.from_numpy(array).to(self.device)

    def _to_numpy(self, name: str, value: Any) -> Tensor:
        """An output. Raises: BackendFailed for what the protocol cannot carry."""
        if isinstance(value, list) and all(isinstance(element, str) for element in value):
            return self._strings(name, value)
        if not isinstance(value, torch.Tensor):
            raise BackendFailed(
                f"output '{name}': the model returned {type(value).__name__}, only tensors and lists of strings "
                "(List[str]) can be answered"
            )
        tensor = value.detach().cpu()
        if tensor.dtype == torch.bfloat16:
            words: Tensor = tensor.contiguous().view(torch.int16).numpy()
            return words.view(ml_dtypes.bfloat16)
        if tensor.layout != torch.strided or tensor.is_quantized or tensor.is_complex():
            raise BackendFailed(
                f"output '{name}': the model returned a tensor of {tensor.dtype} in layout {tensor.layout}, only dense "
                "tensors of Triton's data types can be answered"
            )
        values: Tensor = tensor.contiguous().numpy()
        return values

    def _strings(self, name: str, values: list[str]) -> Tensor:
        shape = self._string_shapes[name]
        if shape is None:
            raise BackendFailed(
                f"output '{name}': a list of strings has one for each row of the batch, configure dims: [ 1 ] or "
                "max_batch_size: 0"
            )
        encoded = np.empty(len(values), dtype=np.object_)
        encoded[:] = [value.encode() for value in values]
        return encoded.reshape(len(values), *shape)


def _to_text(name: str, tensor: Tensor) -> list[str]:
    try:
        return [element.decode() for element in tensor.ravel()]
    except UnicodeDecodeError as error:
        raise BackendFailed(f"input '{name}': strings for PyTorch models must be UTF-8: {error}") from error


def _string_shape(output: ModelOutput, config: ModelConfig) -> tuple[int, ...] | None:
    """Axes behind the first of an output that comes as a list of strings; None where it cannot come as one."""
    if not config.max_batch_size:
        return ()
    return (1,) * len(output.dims) if set(output.dims) <= {1, -1} else None


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
    text = config.parameters[key].string_value if key in config.parameters else ""
    return int(text) if text.isdecimal() and int(text) > 0 else default or max(1, cores() // 4)
