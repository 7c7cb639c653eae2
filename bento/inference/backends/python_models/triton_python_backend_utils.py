"""What Python-backend models import as `triton_python_backend_utils`: NVIDIA's names over this server's own objects."""

from __future__ import annotations

from typing import Any

import numpy as np

from bento.inference.backends.python_models.calls import (
    COMPLETE_FINAL,
    RELEASE_ALL,
    SEQUENCE_END,
    SEQUENCE_START,
    InferenceRequest,
    InferenceResponse,
    InferenceResponseSender,
    InferenceTrace,
    TritonError,
    get_model_dir,
    is_model_ready,
)
from bento.inference.backends.python_models.config import ModelConfig
from bento.inference.backends.python_models.logger import Logger
from bento.inference.backends.python_models.metrics import Metric, MetricFamily
from bento.inference.backends.python_models.tensors import (
    Tensor,
    TritonModelException,
    deserialize_bytes_tensor,
    serialize_byte_tensor,
)
from bento.inference.core.datatypes import NUMPY_TYPES, config_type_name, config_type_of, datatype_of_config
from bento.inference.core.datatypes import datatype_of_numpy as _datatype_of_numpy

__all__ = [
    "InferenceRequest",
    "InferenceResponse",
    "InferenceResponseSender",
    "InferenceTrace",
    "Logger",
    "Metric",
    "MetricFamily",
    "ModelConfig",
    "PreferredMemory",
    "Tensor",
    "TritonError",
    "TritonModelException",
    "deserialize_bytes_tensor",
    "get_input_config_by_name",
    "get_input_tensor_by_name",
    "get_model_dir",
    "get_output_config_by_name",
    "get_output_tensor_by_name",
    "is_model_ready",
    "numpy_to_triton_type",
    "serialize_byte_tensor",
    "triton_string_to_numpy",
    "triton_to_numpy_type",
    "using_decoupled_model_transaction_policy",
]

TRITONSERVER_REQUEST_FLAG_SEQUENCE_START = SEQUENCE_START
TRITONSERVER_REQUEST_FLAG_SEQUENCE_END = SEQUENCE_END
TRITONSERVER_RESPONSE_COMPLETE_FINAL = COMPLETE_FINAL
TRITONSERVER_REQUEST_RELEASE_ALL = RELEASE_ALL
TRITONSERVER_REQUEST_RELEASE_RESCHEDULE = 2
TRITONSERVER_MEMORY_CPU = 0
TRITONSERVER_MEMORY_GPU = 2

_Config = dict[str, Any]

TRITON_STRING_TO_NUMPY = {
    config_type_name(datatype): np.object_ if datatype == "BYTES" else numpy_type.type
    for datatype, numpy_type in NUMPY_TYPES.items()
}


class PreferredMemory:
    """Where a model prefers the outputs of a call. They are always in CPU memory here."""

    def __init__(self, preferred_memory_type: int, preferred_device_id: int = 0) -> None:
        self.preferred_memory_type = preferred_memory_type
        self.preferred_device_id = preferred_device_id


def get_input_tensor_by_name(inference_request: InferenceRequest, name: str) -> Tensor | None:
    """An input of a request, None when it is not given."""
    return next((tensor for tensor in inference_request.inputs() if tensor.name() == name), None)


def get_output_tensor_by_name(inference_response: InferenceResponse, name: str) -> Tensor | None:
    """An output of a response, None when it is not there."""
    return next((tensor for tensor in inference_response.output_tensors() if tensor.name() == name), None)


def get_input_config_by_name(model_config: _Config, name: str) -> _Config | None:
    """Configuration of an input, None when the model has none of that name."""
    return next((io for io in model_config.get("input", ()) if io["name"] == name), None)


def get_output_config_by_name(model_config: _Config, name: str) -> _Config | None:
    """Configuration of an output, None when the model has none of that name."""
    return next((io for io in model_config.get("output", ()) if io["name"] == name), None)


def using_decoupled_model_transaction_policy(model_config: _Config) -> bool:
    """Whether the model is configured as decoupled."""
    return bool(model_config.get("model_transaction_policy", {}).get("decoupled", False))


def triton_string_to_numpy(triton_type_string: str) -> type[np.generic]:
    """ "TYPE_FP32" → numpy.float32."""
    return TRITON_STRING_TO_NUMPY[triton_type_string]


def triton_to_numpy_type(data_type: int) -> type[np.generic]:
    """Number of a data type → NumPy's type."""
    return TRITON_STRING_TO_NUMPY[config_type_name(datatype_of_config(data_type))]


def numpy_to_triton_type(data_type: Any) -> int:
    """NumPy's type → number of the data type."""
    return config_type_of(_datatype_of_numpy(data_type))
