"""Tensors as bytes: the layout that HTTP bodies, gRPC messages and shared memory have in common.

Fixed-width types are little-endian and row-major, and are read without a copy where their alignment allows it.
A BYTES element is its length in 4 bytes, little-endian, followed by its bytes.
"""

from __future__ import annotations

import math
from struct import Struct

import numpy as np

from bento.inference.core.datatypes import NUMPY_TYPES
from bento.inference.core.errors import InvalidRequest, request_prefix
from bento.inference.core.messages import InferRequest, Tensor

MAX_DIMENSIONS = 64
"""What a NumPy array can have at most."""

Buffer = bytes | bytearray | memoryview

_LENGTH = Struct("<I")
_COPY_BELOW_BYTES = 8 << 10
"""Tensors up to which a copy costs less than the three array objects that avoid it (0.1 against 0.5 us)."""

_VECTORISE_FROM = 64
"""BYTES elements from which filling one buffer by index beats joining pieces (both about 10 us at this size)."""


class TensorMisfit(InvalidRequest):
    """The bytes of an input do not fill its shape. Triton says so only after all its other checks."""

    @classmethod
    def string_count(cls, got: int, expected: int, name: str, request: InferRequest) -> TensorMisfit:
        """More or fewer BYTES elements than the shape asks for."""
        where = f"for inference input '{name}' for model '{request.model_name}'"
        if got > expected:
            text = f"unexpected number of string elements {expected + 1} {where}, expecting {expected}"
        else:
            text = f"expected {expected} string elements {where}, got {got}"
        return cls(request_prefix(request.id) + text)


def read_tensor(data: Buffer, datatype: str, shape: tuple[int, ...], name: str, request: InferRequest) -> Tensor:
    """The tensor that `data` holds, read-only; `name` and `request` are for the wording of errors.

    Raises: TensorMisfit when `data` does not fill `shape`; InvalidRequest for a shape no tensor can have.
    """
    numpy_type = NUMPY_TYPES.get(datatype)
    if numpy_type is None:
        raise TensorMisfit(f"invalid datatype for input {name}")
    count = element_count(shape, name, request)
    if datatype == "BYTES":
        return _read_strings(data, count, name, request).reshape(shape)
    expected = count * numpy_type.itemsize
    if len(data) != expected:
        raise TensorMisfit(
            f"{request_prefix(request.id)}input byte size mismatch for input '{name}' for model "
            f"'{request.model_name}'. Expected {expected}, got {len(data)}"
        )
    if count == 0:
        return stand_in(datatype, shape, name, request)
    tensor = np.frombuffer(data, numpy_type)
    # Backends may use aligned loads; a header of arbitrary length in front leaves three bodies in four unaligned.
    if not tensor.flags.aligned:
        tensor = tensor.copy()
    return tensor if len(shape) == 1 else tensor.reshape(shape)


def element_count(shape: tuple[int, ...], name: str, request: InferRequest) -> int:
    """Product of the dimensions; 1 for a scalar.

    Raises: InvalidRequest for a negative dimension or more dimensions than an array can have.
    """
    if len(shape) > MAX_DIMENSIONS:
        raise InvalidRequest(
            f"{request_prefix(request.id)}input '{name}' for model '{request.model_name}' has {len(shape)} dimensions, "
            f"at most {MAX_DIMENSIONS} are supported"
        )
    if shape and min(shape) < 0:
        dims = ",".join(map(str, shape))
        raise InvalidRequest(
            f"{request_prefix(request.id)}All input dimensions should be specified for input '{name}' for model "
            f"'{request.model_name}', got [{dims}]"
        )
    return math.prod(shape)


def stand_in(datatype: str, shape: tuple[int, ...], name: str, request: InferRequest) -> Tensor:
    """A tensor of that type and shape which takes no memory, for checks that look at nothing else.

    An unknown data type gives a complex tensor: no model takes one. Raises: InvalidRequest when no tensor is so large.
    """
    try:
        return np.broadcast_to(np.zeros((), NUMPY_TYPES.get(datatype, np.complex64)), shape)
    except ValueError as error:
        dims = ",".join(map(str, shape))
        raise InvalidRequest(
            f"{request_prefix(request.id)}input '{name}' for model '{request.model_name}' of shape [{dims}] is larger "
            "than any tensor can be"
        ) from error


def tensor_bytes(tensor: Tensor) -> Buffer:
    """The bytes of a tensor in the layout above, without a copy where it is large, contiguous and of fixed width."""
    if tensor.dtype.kind in "OSU":
        return _write_strings(bytes_elements(tensor))
    if tensor.nbytes < _COPY_BELOW_BYTES:
        return tensor.tobytes()
    # Through uint8, because the buffer protocol does not know bfloat16.
    return np.ascontiguousarray(tensor).reshape(-1).view(np.uint8).data


def bytes_elements(tensor: Tensor) -> list[bytes]:
    """Elements of a BYTES tensor in row-major order; text is encoded as UTF-8."""
    elements = tensor.reshape(-1).tolist()
    return [element if type(element) is bytes else str(element).encode() for element in elements]


def strings_tensor(elements: list[bytes], shape: tuple[int, ...]) -> Tensor:
    """BYTES tensor of that shape. np.array would make a fixed-width array that drops trailing NUL bytes."""
    tensor = np.empty(len(elements), np.object_)
    tensor[:] = elements
    return tensor.reshape(shape)


def _read_strings(data: Buffer, count: int, name: str, request: InferRequest) -> Tensor:
    elements: list[bytes] = []
    position, end = 0, len(data)
    # Each length decides where the next one stands, so this cannot be one array operation.
    while position < end:
        if len(elements) == count:
            raise TensorMisfit.string_count(count + 1, count, name, request)
        if end - position < _LENGTH.size:
            raise TensorMisfit(
                f"{request_prefix(request.id)}incomplete string length indicator for inference input '{name}' for "
                f"model '{request.model_name}', expecting {_LENGTH.size} bytes but only {end - position} bytes "
                "available. Please make sure the string length indicator is in one buffer."
            )
        start = position + _LENGTH.size
        position = start + _LENGTH.unpack_from(data, position)[0]
        elements.append(bytes(data[start:position]))
    if position > end:
        length = position - end + len(elements[-1])
        raise TensorMisfit(
            f"incomplete string data for inference input '{name}', expecting string of length {length} but only "
            f"{len(elements[-1])} bytes available"
        )
    if len(elements) != count:
        raise TensorMisfit.string_count(len(elements), count, name, request)
    return strings_tensor(elements, (count,))


def _write_strings(elements: list[bytes]) -> bytes:
    if len(elements) < _VECTORISE_FROM:
        return b"".join([piece for element in elements for piece in (_LENGTH.pack(len(element)), element)])
    lengths = np.fromiter(map(len, elements), "<u4", len(elements))
    ends = np.cumsum(lengths + np.int64(_LENGTH.size))
    is_text = np.ones(ends[-1], np.bool_)
    length_bytes = (ends - lengths)[:, None] + np.arange(-_LENGTH.size, 0)
    is_text[length_bytes] = False
    packed = np.empty(ends[-1], np.uint8)
    packed[length_bytes] = lengths.view(np.uint8).reshape(-1, _LENGTH.size)
    packed[is_text] = np.frombuffer(b"".join(elements), np.uint8)
    return packed.tobytes()
