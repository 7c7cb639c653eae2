"""Tensors as JSON: nested or flat arrays on the way in, flat arrays on the way out, in tritonserver's own notation.

JSON has no FP16 and BF16 (Triton refuses both). NaN, Infinity and -Infinity stand for themselves, as in Triton.
"""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import orjson

from bento.inference.core.datatypes import NUMPY_TYPES
from bento.inference.core.errors import InvalidRequest
from bento.inference.core.messages import InferRequest, Tensor
from bento.inference.protocol.tensor_bytes import TensorMisfit, bytes_elements, element_count, stand_in, strings_tensor

MAX_NESTING = 64
"""Depth of a nested tensor: as many levels as a tensor has dimensions at most."""

_BINARY_ONLY = ("FP16", "BF16")
_EXPONENT = re.compile(rb"(-?)(\d+)(?:\.(\d+))?e([+-]?\d+)")
_ESCAPED = re.compile(rb'[\x00-\x1f"\\]')
_SHORT_ESCAPES = {8: b"\\b", 9: b"\\t", 10: b"\\n", 12: b"\\f", 13: b"\\r", 34: b'\\"', 92: b"\\\\"}


class MalformedJson(InvalidRequest):
    """The JSON of a request is not what the protocol prescribes. Triton answers 500; the fault is the client's."""


def wrong_kind(what: str, label: str) -> MalformedJson:
    """Triton's complaint about a JSON value of the wrong kind."""
    return MalformedJson(f"Unable to parse '{label}': attempt to access JSON non-{what} as {what}")


def tensor_from_json(data: Any, datatype: str, shape: tuple[int, ...], name: str, request: InferRequest) -> Tensor:
    """The tensor that the JSON value `data` holds; nesting need not follow `shape`, only the count of elements.

    Integers wider than the data type wrap around, as in Triton.
    Raises: MalformedJson for values of another kind or of another number; InvalidRequest for types JSON cannot carry.
    """
    count = element_count(shape, name, request)
    if count == 0:
        return stand_in(datatype, shape, name, request)
    if not shape:
        raise TensorMisfit(f"input '{name}' has no shape")
    if type(data) is not list:
        raise wrong_kind("array", "data")
    if datatype in _BINARY_ONLY:
        raise InvalidRequest(
            f"receiving {datatype} data via JSON is not supported. Please use the binary data format for input {name}"
        )
    if datatype not in NUMPY_TYPES:
        raise InvalidRequest(f"invalid datatype for input {name}")
    values: list[Any] = []
    _flatten(data, values, MAX_NESTING)
    if datatype == "BYTES":
        return _strings(values, count, shape, name, request)
    if len(values) != count:
        raise MalformedJson("Unable to parse 'data': Shape does not match true shape of 'data' field")
    return _numbers(values, datatype).reshape(shape)


def tensor_to_json(tensor: Tensor, datatype: str) -> bytes:
    """The elements of a tensor as a flat JSON array, row-major.

    Bytes that are not UTF-8 pass as they are, like Triton's.
    Raises: InvalidRequest for FP16 and BF16.
    """
    if datatype in _BINARY_ONLY:
        raise InvalidRequest(
            f"sending {datatype} data via JSON is not supported. Please use the binary data format for output"
        )
    if datatype == "BYTES":
        return b"[" + b",".join(map(_quoted, bytes_elements(tensor))) + b"]"
    flat = np.ascontiguousarray(tensor).reshape(-1)
    if datatype in ("FP32", "FP64"):
        return _floats_to_json(flat.astype(np.float64, copy=False))
    return orjson.dumps(flat, option=orjson.OPT_SERIALIZE_NUMPY)


def _flatten(values: list[Any], into: list[Any], levels: int) -> None:
    if list not in set(map(type, values)):
        into.extend(values)
        return
    if levels == 0:
        raise MalformedJson(f"Unable to parse 'data': nested deeper than {MAX_NESTING} levels")
    for value in values:
        if type(value) is list:
            _flatten(value, into, levels - 1)
        else:
            into.append(value)


def _numbers(values: list[Any], datatype: str) -> Tensor:
    kinds = set(map(type, values))
    numpy_type = NUMPY_TYPES[datatype]
    if datatype == "BOOL":
        if kinds != {bool}:
            raise wrong_kind("boolean", "data")
        return np.array(values, np.bool_)
    if numpy_type.kind == "f":
        if not kinds <= {int, float}:
            raise MalformedJson("Unable to parse 'data': attempt to access JSON non-number as double")
        with np.errstate(over="ignore"):  # what is too large for FP32 becomes Infinity, as in Triton
            return np.array(values, np.float64).astype(numpy_type)
    signed = numpy_type.kind == "i"
    try:
        if kinds != {int}:
            raise OverflowError
        return np.array(values, np.int64 if signed else np.uint64).astype(numpy_type)
    except OverflowError as error:
        raise wrong_kind("signed-integer" if signed else "unsigned-integer", "data") from error


def _strings(values: list[Any], count: int, shape: tuple[int, ...], name: str, request: InferRequest) -> Tensor:
    if set(map(type, values)) - {str}:
        raise MalformedJson("Unable to parse JSON bytes array: attempt to access JSON non-string as string")
    if len(values) != count:
        raise TensorMisfit.string_count(len(values), count, name, request)
    return strings_tensor([value.encode() for value in values], shape)


def _floats_to_json(flat: np.ndarray[Any, np.dtype[np.float64]]) -> bytes:
    finite = np.isfinite(flat)
    if finite.all():
        return _EXPONENT.sub(_plain_notation, orjson.dumps(flat, option=orjson.OPT_SERIALIZE_NUMPY))
    numbers = _floats_to_json(np.where(finite, flat, 0.0))[1:-1].split(b",")
    for position in np.flatnonzero(~finite):
        value = flat[position]
        numbers[position] = b"NaN" if np.isnan(value) else b"Infinity" if value > 0 else b"-Infinity"
    return b"[" + b",".join(numbers) + b"]"


def _plain_notation(match: re.Match[bytes]) -> bytes:
    """Where orjson writes an exponent and Triton (RapidJSON) does not: 1e-6 to 1e21 are written out."""
    sign, whole, fraction, exponent = match[1], match[2], match[3] or b"", int(match[4])
    digits, point = whole + fraction, len(whole) + exponent
    if len(digits) <= point <= 21:
        return sign + digits + b"0" * (point - len(digits)) + b".0"
    if -6 < point <= 0:
        return sign + b"0." + b"0" * -point + digits
    return match[0].replace(b"e+", b"e")


def _quoted(element: bytes) -> bytes:
    return b'"' + _ESCAPED.sub(_escape, element) + b'"'


def _escape(match: re.Match[bytes]) -> bytes:
    byte = match[0][0]
    return _SHORT_ESCAPES.get(byte) or b"\\u%04X" % byte
