"""The v2 inference protocol over gRPC, as pure functions between protobuf messages and the engine's.

Tensors come as bytes (raw_input_contents, in the order of the inputs), as typed contents, or from shared memory.
Answers always carry bytes.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from tritonclient.grpc import service_pb2

from bento.inference.core.datatypes import NUMPY_TYPES, datatype_of
from bento.inference.core.errors import InvalidRequest, request_prefix
from bento.inference.core.messages import InferRequest, InferResponse, Tensor
from bento.inference.over_grpc.parameters import class_count, read_parameters, shared_memory_view, write_parameter
from bento.inference.protocol.front_end import checked_version
from bento.inference.protocol.output_delivery import IN_BINARY, DecodedRequest, OutputDelivery
from bento.inference.protocol.shared_memory import SharedMemoryRegistry, write_output
from bento.inference.protocol.tensor_bytes import (
    TensorMisfit,
    element_count,
    read_tensor,
    stand_in,
    strings_tensor,
    tensor_bytes,
)

_CONTENT_TYPES = {
    "bool_contents": ("BOOL",),
    "int_contents": ("INT32", "INT8", "INT16"),
    "int64_contents": ("INT64",),
    "uint_contents": ("UINT32", "UINT8", "UINT16"),
    "uint64_contents": ("UINT64",),
    "fp32_contents": ("FP32",),
    "fp64_contents": ("FP64",),
    "bytes_contents": ("BYTES",),
}
"""Data types that each field of InferTensorContents can hold, its own first."""


def decode_request(message: service_pb2.ModelInferRequest, regions: SharedMemoryRegistry) -> DecodedRequest:
    """Read a ModelInferRequest.

    Raises: InvalidRequest; UnknownRegion.
    """
    request = InferRequest(message.model_name, {}, checked_version(message.model_version), id=message.id)
    decoded = DecodedRequest(request, default_delivery=IN_BINARY)
    if message.parameters:
        read_parameters(message.parameters, request)
    raw_contents = iter(message.raw_input_contents)
    has_raw = len(message.raw_input_contents) > 0
    for item in message.inputs:
        _read_input(item, decoded, raw_contents, has_raw, regions)
    for item in message.outputs:
        _read_output(item, decoded, regions)
    request.requested_outputs = tuple(decoded.deliveries)
    return decoded


def encode_response(response: InferResponse, decoded: DecodedRequest) -> service_pb2.ModelInferResponse:
    """Write an answer; outputs that go to shared memory are written there and left empty."""
    message = service_pb2.ModelInferResponse(
        model_name=response.model_name, model_version=response.model_version, id=response.id
    )
    for name, value in response.parameters.items():
        write_parameter(message.parameters[name], value)
    for name, tensor in response.outputs.items():
        message.outputs.add(name=name, datatype=datatype_of(tensor), shape=tensor.shape)
        place = decoded.delivery(name).place
        data = tensor_bytes(tensor)
        if place is None:
            message.raw_output_contents.append(data if type(data) is bytes else bytes(data))
            continue
        write_output(place, name, data)
        message.raw_output_contents.append(b"")
    return message


def _read_input(
    item: service_pb2.ModelInferRequest.InferInputTensor,
    decoded: DecodedRequest,
    raw_contents: Any,
    has_raw: bool,
    regions: SharedMemoryRegistry,
) -> None:
    request, name, datatype, shape = decoded.request, item.name, item.datatype, tuple(item.shape)
    if name in request.inputs:
        raise InvalidRequest(f"{request_prefix(request.id)}input '{name}' already exists in request")
    try:
        if "shared_memory_region" in item.parameters:
            if item.HasField("contents"):
                text = "unexpected 'content' provided when using shared memory for input tensor"
                raise InvalidRequest(f"{text} '{name}' for model '{request.model_name}'")
            view = shared_memory_view(item, regions)
            tensor = read_tensor(view.toreadonly(), datatype, shape, name, request)
        elif item.HasField("contents"):
            if has_raw:
                text = "contents field must not be specified when using raw_input_contents for"
                raise InvalidRequest(f"{text} '{name}' for model '{request.model_name}'")
            tensor = _read_contents(item, shape, request)
        else:
            data = next(raw_contents, None)
            if data is None:
                text = f"unable to find data for input tensor '{name}' for model '{request.model_name}' in request."
                raise InvalidRequest(text)
            tensor = read_tensor(data, datatype, shape, name, request)
    except TensorMisfit as misfit:
        decoded.misfit = str(misfit)
        tensor = stand_in(datatype, shape, name, request)
    request.inputs[name] = tensor


def _read_contents(
    item: service_pb2.ModelInferRequest.InferInputTensor, shape: tuple[int, ...], request: InferRequest
) -> Tensor:
    name, datatype = item.name, item.datatype
    where = f"unexpected explicit tensor data for input tensor '{name}' for model '{request.model_name}'"
    filled = [(field.name, values) for field, values in item.contents.ListFields()]
    for position, (field, _) in enumerate(filled):
        if position:
            raise InvalidRequest(f"{where}, binary data was already supplied.")
        if datatype not in _CONTENT_TYPES[field]:
            raise InvalidRequest(
                f"{where} of type '{_CONTENT_TYPES[field][0]}', expected datatype "
                f"'{datatype if datatype in NUMPY_TYPES else '<invalid>'}'"
            )
    count = element_count(shape, name, request)
    values = filled[0][1] if filled else ()
    if datatype == "BYTES":
        if len(values) != count:
            raise TensorMisfit.string_count(len(values), count, name, request)
        return strings_tensor(list(values), shape)
    if not filled:
        return read_tensor(b"", datatype, shape, name, request)
    wide = np.array(values, NUMPY_TYPES[_CONTENT_TYPES[filled[0][0]][0]])
    # INT8 and INT16 travel as 32-bit integers, of which Triton takes the low bytes.
    return read_tensor(wide.astype(NUMPY_TYPES[datatype]).data.cast("B"), datatype, shape, name, request)


def _read_output(
    item: service_pb2.ModelInferRequest.InferRequestedOutputTensor,
    decoded: DecodedRequest,
    regions: SharedMemoryRegistry,
) -> None:
    place = shared_memory_view(item, regions) if "shared_memory_region" in item.parameters else None
    classes = class_count(item.parameters)
    if classes and place is not None:
        raise InvalidRequest("output can't set both 'shared_memory_region' and 'classification'")
    plain = not classes and place is None
    decoded.deliveries.setdefault(item.name, IN_BINARY if plain else OutputDelivery(True, classes, place))
