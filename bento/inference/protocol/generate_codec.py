"""The generate extension, as pure functions: JSON whose members are inputs and parameters by name, and the same back.

There are no shapes in it: an input has the shape that the model has configured, its variable dimensions filled by the
elements that there are; an output is a flat list, or the value itself when it has but one.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import orjson
from tritonclient.grpc import model_config_pb2

from bento.inference.core.datatypes import datatype_of, datatype_of_config
from bento.inference.core.errors import InvalidRequest
from bento.inference.core.messages import InferRequest, InferResponse, Parameters
from bento.inference.protocol.json_fields import JsonObject, as_string, parse_json, without_nulls
from bento.inference.protocol.json_tensors import MalformedJson, tensor_from_json, tensor_to_json
from bento.inference.protocol.output_delivery import DecodedRequest
from bento.inference.protocol.tensor_bytes import Buffer, TensorMisfit, stand_in


def decode_generate(body: Buffer, version: str, config: model_config_pb2.ModelConfig) -> DecodedRequest:
    """Read a request for the model of `config`.

    Raises: InvalidRequest (MalformedJson for JSON that is not what the extension prescribes).
    """
    members = parse_json(body)
    if type(members) is not dict:
        raise MalformedJson("attempt to get members for non-object")
    request = InferRequest(config.name, {}, version)
    decoded = DecodedRequest(request)
    declared = {io.name: io for io in config.input}
    for name, value in without_nulls(members).items():
        if name in declared:
            _read_input(declared[name], value, config.max_batch_size, decoded)
        elif name == "id":
            request.id = as_string(value, name)
        elif name == "parameters":
            request.parameters |= _nested(value)
        else:
            request.parameters[name] = _parameter(name, value)
    return decoded


def encode_generate(response: InferResponse) -> bytes:
    """Write an answer, its members in the order of their names. Raises: InvalidRequest for what JSON cannot carry."""
    answer: dict[str, Any] = {"model_name": response.model_name, "model_version": response.model_version}
    if response.id:
        answer["id"] = response.id
    answer |= response.parameters
    for name, tensor in response.outputs.items():
        text = tensor_to_json(tensor, datatype_of(tensor))
        answer[name] = orjson.Fragment(text[1:-1] if tensor.size == 1 else text)
    return orjson.dumps(answer, option=orjson.OPT_SORT_KEYS)


def _read_input(io: model_config_pb2.ModelInput, value: Any, max_batch_size: int, decoded: DecodedRequest) -> None:
    values = value if type(value) is list else [value]
    shape = _shape(len(values), [-1, *io.dims] if max_batch_size else io.dims, io.name)
    datatype = datatype_of_config(io.data_type)
    try:
        tensor = tensor_from_json(values, datatype, shape, io.name, decoded.request)
    except TensorMisfit as misfit:
        decoded.misfit = str(misfit)
        tensor = stand_in(datatype, shape, io.name, decoded.request)
    decoded.request.inputs[io.name] = tensor


def _shape(count: int, dims: Sequence[int], name: str) -> tuple[int, ...]:
    """The last variable dimension takes all that there is, those before it 1. Raises: InvalidRequest."""
    rest, too_many = divmod(count, prod(dim for dim in dims if dim != -1))
    if too_many or (rest != 1 and -1 not in dims):
        raise InvalidRequest(f"The schema can not convert input '{name}' to tensor with proper shape")
    shape = [1 if dim == -1 else dim for dim in dims]
    if -1 in dims:
        shape[len(dims) - 1 - list(reversed(dims)).index(-1)] = rest
    return tuple(shape)


def _nested(value: Any) -> Parameters:
    keyword = "keyword: 'parameters': "
    if type(value) is not dict:
        raise MalformedJson(f"Expected JSON object for {keyword}attempt to access JSON non-object as object")
    members: JsonObject = without_nulls(value)
    return {name: _parameter(name, item, f"Converting {keyword}") for name, item in members.items()}


def _parameter(name: str, value: Any, where: str = "") -> bool | int | float | str:
    if type(value) not in (bool, int, float, str):
        raise InvalidRequest(
            f"{where}parameter '{name}' has invalid type. It should be either 'int', 'bool', or 'string'."
        )
    known: bool | int | float | str = value
    return known
