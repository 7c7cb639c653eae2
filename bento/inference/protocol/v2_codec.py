"""The v2 inference protocol over HTTP, as pure functions: header values and body bytes in, the same out.

A body is JSON, optionally followed by the raw bytes of tensors (the binary tensor data extension). The length of the
JSON part stands in the header Inference-Header-Content-Length; 0 there means that the whole body is one raw input.
"""

from __future__ import annotations

import math
from typing import Any

import orjson
from tritonclient.grpc import model_config_pb2

from bento.inference.core.datatypes import NUMPY_TYPES, datatype_of, datatype_of_config
from bento.inference.core.errors import InvalidRequest, request_prefix
from bento.inference.core.messages import InferRequest, InferResponse, SequenceControl, Tensor
from bento.inference.protocol.json_fields import (
    JsonObject,
    as_array,
    as_bool,
    as_string,
    as_unsigned,
    parse_json,
    required,
    without_nulls,
)
from bento.inference.protocol.json_tensors import MalformedJson, tensor_from_json, tensor_to_json
from bento.inference.protocol.output_delivery import IN_BINARY, IN_JSON, DecodedRequest, OutputDelivery
from bento.inference.protocol.shared_memory import SharedMemoryRegistry, write_output
from bento.inference.protocol.tensor_bytes import Buffer, TensorMisfit, read_tensor, stand_in, tensor_bytes

RAW_INPUT = "raw_input"
"""What Triton calls the only input of a raw request in its messages."""


def json_length(header: bytes | None, body_size: int) -> int | None:
    """Length of the JSON part, from the Inference-Header-Content-Length header; without it, the whole body.

    None = the header says 0: the body is one raw input.

    Raises: InvalidRequest when it is not a number or reaches beyond the body.
    """
    if header is None:
        return body_size
    text = header.decode("latin-1")
    try:
        length = int(text)
    except ValueError as error:
        raise InvalidRequest(f"Unable to parse Inference-Header-Content-Length, got: {text}") from error
    if not 0 <= length <= body_size:
        raise InvalidRequest(f"inference header size should be in range (0, {body_size}), got: {text}")
    return length or None


def decode_request(
    body: Buffer, header_length: int, model_name: str, model_version: str, regions: SharedMemoryRegistry
) -> DecodedRequest:
    """Read a request whose first `header_length` bytes are JSON.

    Raises: InvalidRequest (MalformedJson for JSON that is not what the protocol prescribes); UnknownRegion.
    """
    header = parse_json(body if header_length == len(body) else memoryview(body)[:header_length])
    members = without_nulls(header) if type(header) is dict else {}
    request = InferRequest(model_name, {}, model_version)
    decoded = DecodedRequest(request)
    if "id" in members:
        request.id = as_string(members["id"], "id")
    if "parameters" in members:
        _read_parameters(members["parameters"], decoded)
    end = header_length
    for item in as_array(required(members, "inputs"), "inputs"):
        end = _read_input(item, decoded, body, end, regions)
    if end != len(body):
        raise InvalidRequest(f"unexpected additional input data for model '{model_name}'")
    if "outputs" in members:
        for item in as_array(members["outputs"], "outputs"):
            _read_output(item, decoded, regions)
        request.requested_outputs = tuple(decoded.deliveries)
    return decoded


def decode_raw_request(
    body: Buffer, model_version: str, config: model_config_pb2.ModelConfig, raw_input: str = RAW_INPUT
) -> DecodedRequest:
    """Read a body that is nothing but the bytes of the model's only input; outputs come back as bytes.

    A variable dimension takes what there is. Raises: InvalidRequest when the input cannot be determined from the bytes.
    """
    request = InferRequest(config.name, {}, model_version)
    decoded = DecodedRequest(request, default_delivery=IN_BINARY)
    prefix = request_prefix(request.id)
    if len(config.input) != 1:
        raise InvalidRequest(
            f"{prefix}Raw request must only have 1 input (found 1) to be deduced but got {len(config.input)} inputs in "
            f"'{config.name}' model configuration"
        )
    name, dims = config.input[0].name, list(config.input[0].dims)
    datatype = datatype_of_config(config.input[0].data_type)
    if dims.count(-1) > 1:
        raise InvalidRequest(
            f"{prefix}The shape of the raw input '{name}' can not be deduced because there are more than one "
            "variable-sized dimension"
        )
    if datatype == "BYTES":
        if math.prod(dims) != 1 or -1 in dims:
            raise InvalidRequest(f"{prefix}For BYTE datatype raw input '{name}', the model must have input shape [1]")
        body = len(body).to_bytes(4, "little") + bytes(body)
    elif -1 in dims:
        fixed = -math.prod(dims) * NUMPY_TYPES[datatype].itemsize
        dims[dims.index(-1)] = len(body) // fixed if fixed else 0
    shape = (1, *dims) if config.max_batch_size else tuple(dims)
    try:
        request.inputs[name] = read_tensor(body, datatype, shape, raw_input, request)
    except TensorMisfit as misfit:
        decoded.misfit = str(misfit)
        request.inputs[name] = stand_in(datatype, shape, raw_input, request)
    return decoded


def encode_response(response: InferResponse, decoded: DecodedRequest) -> tuple[int | None, list[Buffer]]:
    """Write an answer: (length of the JSON part or None when there is nothing else, parts of the body in order).

    Outputs that go to shared memory are written there. Raises: InvalidRequest for outputs that JSON cannot carry.
    """
    answer: dict[str, Any] = {"id": response.id} if response.id else {}
    answer["model_name"], answer["model_version"] = response.model_name, response.model_version
    if response.parameters:
        answer["parameters"] = response.parameters
    parts: list[Buffer] = [b""]
    answer["outputs"] = [
        _write_output(name, tensor, decoded.delivery(name), parts) for name, tensor in response.outputs.items()
    ]
    header = parts[0] = orjson.dumps(answer)
    return (len(header) if len(parts) > 1 else None), parts


def _read_input(item: Any, decoded: DecodedRequest, body: Buffer, start: int, regions: SharedMemoryRegistry) -> int:
    """Add one input to the request; returns where the next binary input starts."""
    members, parameters = _members(item)
    is_binary, is_shared = "binary_data_size" in parameters, "shared_memory_region" in parameters
    if is_binary + is_shared + ("data" in members) != 1:
        raise _not_one_source(members, parameters)
    name = as_string(required(members, "name"), "name")
    datatype = as_string(required(members, "datatype"), "datatype")
    shape = tuple(as_array(required(members, "shape"), "shape"))
    for dim in shape:
        as_unsigned(dim, "shape")
    request, end = decoded.request, start
    if name in request.inputs:
        raise InvalidRequest(f"{request_prefix(request.id)}input '{name}' already exists in request")
    try:
        if is_binary:
            end = start + as_unsigned(parameters["binary_data_size"], "binary_data_size")
            if end > len(body):
                raise InvalidRequest(
                    f"unexpected size for input '{name}', expecting {end - len(body)} additional bytes for model "
                    f"'{request.model_name}'"
                )
            tensor = read_tensor(memoryview(body)[start:end], datatype, shape, name, request)
        elif is_shared:
            view = _shared_memory(parameters, regions)
            tensor = read_tensor(view.toreadonly(), datatype, shape, name, request)
        else:
            tensor = tensor_from_json(members["data"], datatype, shape, name, request)
    except TensorMisfit as misfit:
        decoded.misfit = str(misfit)
        tensor = stand_in(datatype, shape, name, request)
    request.inputs[name] = tensor
    return end


def _members(item: Any) -> tuple[JsonObject, JsonObject]:
    """Of an input or output, and of its parameters."""
    members = without_nulls(item) if type(item) is dict else {}
    parameters = members.get("parameters")
    return members, without_nulls(parameters) if type(parameters) is dict else {}


def _not_one_source(members: JsonObject, parameters: JsonObject) -> InvalidRequest:
    places = {"data": members, "binary_data_size": parameters, "shared_memory_region": parameters}
    sources = [f"'{name}'" for name, place in places.items() if name in place]
    found = "set " + " ".join(sources) if sources else "no field is set"
    return InvalidRequest(
        "Input must set only one of the following fields: 'data', 'binary_data_size' in 'parameters', "
        f"'shared_memory_region' in 'parameters'. But {found}"
    )


def _shared_memory(parameters: JsonObject, regions: SharedMemoryRegistry) -> memoryview:
    region = as_string(parameters["shared_memory_region"], "shared_memory_region")
    offset = as_unsigned(parameters.get("shared_memory_offset", 0), "shared_memory_offset")
    byte_size = as_unsigned(parameters.get("shared_memory_byte_size", 0), "shared_memory_byte_size")
    return regions.view(region, offset, byte_size)


def _read_output(item: Any, decoded: DecodedRequest, regions: SharedMemoryRegistry) -> None:
    members, parameters = _members(item)
    in_shared_memory = "shared_memory_region" in parameters
    if in_shared_memory and "classification" in parameters:
        raise InvalidRequest("Output can't set both 'shared_memory_region' and 'classification'")
    binary = as_bool(parameters.get("binary_data", False), "binary_data")
    if in_shared_memory and binary:
        raise InvalidRequest("Output can't set both 'shared_memory_region' and 'binary_data'")
    name = as_string(required(members, "name"), "name")
    try:
        class_count = as_unsigned(parameters.get("classification", 0), "classification")
    except MalformedJson as error:
        raise MalformedJson(str(error).replace("Unable to parse", "Unable to set")) from error
    place = _shared_memory(parameters, regions) if in_shared_memory else None
    if class_count or place is not None:
        decoded.deliveries.setdefault(name, OutputDelivery(binary, class_count, place))
    else:
        decoded.deliveries.setdefault(name, IN_BINARY if binary else IN_JSON)


def _read_parameters(parameters: Any, decoded: DecodedRequest) -> None:
    if type(parameters) is not dict:
        raise MalformedJson("failed to get request params.: attempt to get members for non-object")
    request = decoded.request
    parameters = without_nulls(parameters)
    for name, value in parameters.items():
        if name == "binary_data_output":
            decoded.default_delivery = IN_BINARY if as_bool(value, name) else IN_JSON
        elif name == "priority":
            request.priority = as_unsigned(value, name)
        elif name == "timeout":
            request.timeout_us = as_unsigned(value, name)
        elif name == "sequence_id":
            start = as_bool(parameters.get("sequence_start", False), "sequence_start")
            end = as_bool(parameters.get("sequence_end", False), "sequence_end")
            identity = as_unsigned(value, name) if type(value) is int else as_string(value, name)
            if identity not in (0, ""):
                request.sequence = SequenceControl(identity, start, end)
        elif name in ("sequence_start", "sequence_end"):
            as_bool(value, name)
        elif name.startswith("triton_"):
            raise InvalidRequest(
                "parameter keys starting with 'triton_' are reserved for Triton usage and should not be specified."
            )
        elif type(value) in (bool, int, float, str):
            request.parameters[name] = value
        else:
            raise InvalidRequest(
                f"parameter '{name}' has invalid type. It should be either 'int', 'bool', or 'string'."
            )


def _write_output(name: str, tensor: Tensor, delivery: OutputDelivery, parts: list[Buffer]) -> dict[str, Any]:
    datatype = datatype_of(tensor)
    output: dict[str, Any] = {"name": name, "datatype": datatype, "shape": tensor.shape}
    if delivery.place is not None:
        write_output(delivery.place, name, tensor_bytes(tensor))
    elif delivery.binary:
        data = tensor_bytes(tensor)
        output["parameters"] = {"binary_data_size": len(data)}
        if len(data):
            parts.append(data)
    else:
        output["data"] = orjson.Fragment(tensor_to_json(tensor, datatype))
    return output
