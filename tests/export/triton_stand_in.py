"""What Triton's Python backend gives to a `model.py`, and a loader that treats one as the backend does."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from google.protobuf import json_format

from export.layout import COMMITTED_REPOSITORY, read_config


class TritonError(Exception):
    """As in Triton 24.10: a message and a code that decides the status of the answer."""

    UNKNOWN, INTERNAL, NOT_FOUND, INVALID_ARG, UNAVAILABLE, UNSUPPORTED, ALREADY_EXISTS, CANCELLED = range(8)

    def __init__(self, message: str, code: int = INTERNAL) -> None:
        super().__init__(message)
        self._message, self._code = message, code

    def message(self) -> str:
        return self._message

    def code(self) -> int:
        return self._code


class Tensor:
    def __init__(self, name: str, array: npt.NDArray[Any]) -> None:
        if not isinstance(array, np.ndarray):
            raise TypeError("Tensor takes a name and a NumPy array")
        self._name, self._array = name, array

    def name(self) -> str:
        return self._name

    def as_numpy(self) -> npt.NDArray[Any]:
        return self._array


class InferenceRequest:
    def __init__(self, inputs: list[Tensor]) -> None:
        self._inputs = inputs

    def inputs(self) -> list[Tensor]:
        return self._inputs


class InferenceResponse:
    def __init__(self, output_tensors: list[Tensor] | None = None, error: TritonError | None = None) -> None:
        if error is not None and not isinstance(error, TritonError):
            raise TypeError("error must be a TritonError")
        self._outputs, self._error = output_tensors or [], error

    def output_tensors(self) -> list[Tensor]:
        return self._outputs

    def has_error(self) -> bool:
        return self._error is not None

    def error(self) -> TritonError | None:
        return self._error


def get_input_tensor_by_name(request: InferenceRequest, name: str) -> Tensor | None:
    return next((tensor for tensor in request.inputs() if tensor.name() == name), None)


class Logger:
    warnings: ClassVar[list[str]] = []
    """What models have warned of."""

    @classmethod
    def log_warn(cls, message: str) -> None:
        cls.warnings.append(message)


def pb_utils_module() -> ModuleType:
    """A module to stand in for `triton_python_backend_utils`."""
    module = ModuleType("triton_python_backend_utils")
    for item in (TritonError, Tensor, InferenceRequest, InferenceResponse, Logger, get_input_tensor_by_name):
        setattr(module, item.__name__, item)
    return module


class LoadedModel:
    """A version folder with a `model.py`, initialized with the arguments that Triton passes."""

    def __init__(self, folder: Path, name: str, kind: str = "CPU") -> None:
        spec = importlib.util.spec_from_file_location(f"model_{name}_{id(self)}", folder / "model.py")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        self.model = module.TritonPythonModel()
        config = json_format.MessageToDict(read_config(COMMITTED_REPOSITORY, name), preserving_proto_field_name=True)
        self.model.initialize(
            {
                "model_config": json.dumps(config),
                "model_instance_kind": kind,
                "model_instance_name": f"{name}_0",
                "model_instance_device_id": "0",
                "model_repository": str(folder.parent),
                "model_version": folder.name,
                "model_name": name,
            }
        )

    def infer(self, *requests: dict[str, npt.NDArray[Any]]) -> list[Any]:
        """One execute call for all requests: the outputs of each by name, or its TritonError."""
        responses = self.model.execute(
            [InferenceRequest([Tensor(name, array) for name, array in request.items()]) for request in requests]
        )
        assert len(responses) == len(requests)
        return [
            response.error() or {tensor.name(): tensor.as_numpy() for tensor in response.output_tensors()}
            for response in responses
        ]
