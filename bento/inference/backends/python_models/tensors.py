"""Tensors as Python-backend models see them: NumPy arrays with a name, and DLPack for every other framework."""

from __future__ import annotations

import struct
from typing import Any

import ml_dtypes
import numpy as np

from bento.inference.core.datatypes import config_type_of, datatype_of_numpy
from bento.inference.core.messages import Tensor as Array

_DLPACK_CPU = (1, 0)


class Tensor:
    """A named tensor. BYTES elements are `bytes`; text is encoded as UTF-8 on its way out."""

    __slots__ = ("_array", "_name")

    def __init__(self, name: str, array: Array) -> None:
        if not name:
            raise TritonModelException("Tensor name cannot be an empty string.")
        if not array.flags.c_contiguous:
            array = np.ascontiguousarray(array)
        self._name = name
        self._array = array

    def name(self) -> str:
        """Name of the input or output."""
        return self._name

    def as_numpy(self) -> Array:
        """The values."""
        return self._array

    def shape(self) -> list[int]:
        """Size of each axis."""
        return list(self._array.shape)

    def triton_dtype(self) -> int:
        """Number of the data type (TYPE_FP32 is 11)."""
        return config_type_of(datatype_of_numpy(self._array.dtype))

    def is_cpu(self) -> bool:
        """Whether the values are in CPU memory: always, here."""
        return True

    def to_dlpack(self) -> object:
        """A DLPack capsule of the values."""
        return self.__dlpack__()

    @staticmethod
    def from_dlpack(name: str, tensor: Any) -> Tensor:
        """A tensor from anything that speaks DLPack, or from a capsule; values on a GPU are copied to the CPU."""
        if isinstance(tensor, Tensor):
            return Tensor(name, tensor._array)
        if type(tensor).__name__ == "PyCapsule":
            return Tensor(name, _from_dlpack(_Capsule(tensor), tensor))
        if not hasattr(tensor, "__dlpack__") or not hasattr(tensor, "__dlpack_device__"):
            raise TritonModelException(
                "Provided tensor is not supported. Tensor must be a DLPack capsule or have `__dlpack__` and "
                "`__dlpack_device__` attributes"
            )
        if type(tensor).__module__.split(".")[0] == "torch":
            return Tensor(name, _from_torch(tensor))
        return Tensor(name, _from_dlpack(tensor, tensor))

    def __dlpack__(self, **how: Any) -> object:
        """See the array API standard."""
        array = self._array if self._array.flags.writeable else self._array.copy()  # DLPack knows no read-only
        return array.__dlpack__(**how)

    def __dlpack_device__(self) -> tuple[int, int]:
        """See the array API standard."""
        return _DLPACK_CPU


class _Capsule:
    """A bare capsule in the clothes that `numpy.from_dlpack` expects."""

    def __init__(self, capsule: object) -> None:
        self._capsule = capsule

    def __dlpack__(self, **how: Any) -> object:
        return self._capsule

    def __dlpack_device__(self) -> tuple[int, int]:
        return _DLPACK_CPU


class TritonModelException(Exception):
    """What a model raises, or gets raised, when it cannot go on."""


def output_array(tensor: Tensor) -> Array:
    """The values as the server carries them: text as `bytes`."""
    array = tensor.as_numpy()
    if array.dtype.kind not in "OSU":
        return array
    encoded = np.empty(array.shape, dtype=np.object_)
    encoded.ravel()[:] = [item if isinstance(item, bytes) else str(item).encode() for item in array.ravel().tolist()]
    return encoded


def serialize_byte_tensor(input_tensor: Array) -> bytes:
    """The elements of a BYTES tensor, each behind its length in four bytes."""
    parts = []
    for element in output_array(Tensor("serialized", input_tensor)).ravel():
        parts.append(struct.pack("<I", len(element)))
        parts.append(element)
    return b"".join(parts)


def deserialize_bytes_tensor(encoded_tensor: bytes) -> Array:
    """(N,) the elements that `serialize_byte_tensor` wrote."""
    elements = []
    offset = 0
    while offset < len(encoded_tensor):
        (length,) = struct.unpack_from("<I", encoded_tensor, offset)
        elements.append(bytes(encoded_tensor[offset + 4 : offset + 4 + length]))
        offset += 4 + length
    array = np.empty(len(elements), dtype=np.object_)
    array[:] = elements
    return array


def _from_dlpack(clothed: Any, tensor: Any) -> Array:
    """Values of anything that speaks DLPack; NumPy takes nothing that lies on a GPU, torch does."""
    try:
        values: Array = np.from_dlpack(clothed)
    except (BufferError, RuntimeError) as error:
        try:
            import torch
        except ImportError:
            raise TritonModelException(f"a tensor that NumPy cannot take ({error}) needs torch") from error
        return _from_torch(torch.from_dlpack(tensor))
    return values


def _from_torch(tensor: Any) -> Array:
    """Values of a torch tensor; NumPy's own way in knows neither GPUs nor BF16."""
    tensor = tensor.detach().cpu().contiguous()
    if str(tensor.dtype) == "torch.bfloat16":
        import torch

        words: Array = tensor.view(torch.int16).numpy()
        return words.view(ml_dtypes.bfloat16)
    values: Array = tensor.numpy()
    return values
