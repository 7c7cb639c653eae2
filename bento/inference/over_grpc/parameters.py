"""The parameters of gRPC requests and answers: which exist, what kinds of values they take, Triton's complaints."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from tritonclient.grpc import service_pb2

from bento.inference.core.errors import InvalidRequest
from bento.inference.core.messages import InferRequest, Parameter, SequenceControl
from bento.inference.protocol.shared_memory import SharedMemoryRegistry

EMPTY_FINAL_RESPONSE = "triton_enable_empty_final_response"
"""Request parameter: a decoupled model's last response comes even when it is empty."""

Parameters = Mapping[str, service_pb2.InferParameter]


class _TensorMessage(Protocol):
    """An input or a requested output."""

    name: str
    parameters: Parameters


def wants_empty_final_response(message: service_pb2.ModelInferRequest) -> bool:
    """Whether the client asks for a decoupled model's empty last response. Raises: InvalidRequest."""
    return _bool_parameter(message.parameters, EMPTY_FINAL_RESPONSE)


def shared_memory_view(tensor: _TensorMessage, regions: SharedMemoryRegistry) -> memoryview:
    """The part of a registered region that the tensor's parameters name. Raises: InvalidRequest; UnknownRegion."""
    parameters = tensor.parameters
    _expect("shared_memory_region", "string_param", tensor)
    region, offset = parameters["shared_memory_region"].string_param, 0
    if "shared_memory_offset" in parameters:
        _expect("shared_memory_offset", "int64_param", tensor)
        offset = parameters["shared_memory_offset"].int64_param
    if "shared_memory_byte_size" not in parameters:
        raise InvalidRequest(
            "'shared_memory_byte_size' must be specified along with 'shared_memory_region' parameter for tensor "
            f"'{tensor.name}'"
        )
    _expect("shared_memory_byte_size", "int64_param", tensor)
    return regions.view(region, offset, parameters["shared_memory_byte_size"].int64_param)


def _expect(name: str, choice: str, tensor: _TensorMessage) -> None:
    if tensor.parameters[name].WhichOneof("parameter_choice") != choice:
        raise InvalidRequest(
            f"invalid value type for '{name}' parameter for tensor '{tensor.name}', expected {choice}."
        )


def class_count(parameters: Parameters) -> int:
    """How many classes the parameters of a requested output ask for; 0 when none. Raises: InvalidRequest."""
    if "classification" not in parameters:
        return 0
    if parameters["classification"].WhichOneof("parameter_choice") != "int64_param":
        raise InvalidRequest("invalid value type for 'classification' parameter, expected int64_param")
    if parameters["classification"].int64_param <= 0:
        raise InvalidRequest("invalid value for 'classification' parameter, expected >= 0")
    return int(parameters["classification"].int64_param)


def _bool_parameter(parameters: Parameters, name: str) -> bool:
    if name not in parameters:
        return False
    if parameters[name].WhichOneof("parameter_choice") != "bool_param":
        raise InvalidRequest(f"invalid value type for '{name}' parameter, expected bool_param.")
    return bool(parameters[name].bool_param)


def read_parameters(parameters: Parameters, request: InferRequest) -> None:
    """Take over what the request's parameters say. Raises: InvalidRequest."""
    start, end = _bool_parameter(parameters, "sequence_start"), _bool_parameter(parameters, "sequence_end")
    for name, parameter in parameters.items():
        choice = parameter.WhichOneof("parameter_choice")
        if name == "sequence_id":
            if choice not in ("int64_param", "string_param"):
                raise InvalidRequest(
                    "invalid value type for 'sequence_id' parameter, expected int64_param or string_param."
                )
            identity = getattr(parameter, choice)
            if identity:
                request.sequence = SequenceControl(identity, start, end)
        elif name == "priority":
            if choice not in ("int64_param", "uint64_param"):
                raise InvalidRequest(
                    "invalid value type for 'priority' parameter, expected int64_param or uint64_param."
                )
            request.priority = getattr(parameter, choice)
            if request.priority < 0:
                raise InvalidRequest("invalid value for 'priority', expected value >= 0.")
        elif name == "timeout":
            if choice != "int64_param":
                raise InvalidRequest("invalid value type for 'timeout' parameter, expected int64_param.")
            request.timeout_us = max(parameter.int64_param, 0)
        elif name.startswith("triton_"):
            if name != EMPTY_FINAL_RESPONSE:
                raise InvalidRequest(
                    "parameter keys starting with 'triton_' are reserved for Triton usage. Only the following keys "
                    f"starting with 'triton_' are allowed: {EMPTY_FINAL_RESPONSE}"
                )
            _bool_parameter(parameters, name)
        elif name not in ("sequence_start", "sequence_end"):
            if choice not in ("int64_param", "bool_param", "string_param", "double_param"):
                raise InvalidRequest(
                    f"invalid value type for '{name}' parameter, expected int64_param, bool_param, or string_param."
                )
            request.parameters[name] = getattr(parameter, choice)


def write_parameter(parameter: service_pb2.InferParameter, value: Parameter) -> None:
    """Set a parameter of an answer."""
    if isinstance(value, bool):
        parameter.bool_param = value
    elif isinstance(value, int):
        parameter.int64_param = value
    elif isinstance(value, float):
        parameter.double_param = value
    else:
        parameter.string_param = value
