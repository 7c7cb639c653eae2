"""The classification extension: an output as its k highest values, each "value:index" or "value:index:label"."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bento.inference.core.datatypes import datatype_of
from bento.inference.core.errors import InvalidRequest
from bento.inference.core.messages import Tensor
from bento.inference.protocol.tensor_bytes import strings_tensor

_NUMBERS = ("UINT8", "UINT16", "UINT32", "UINT64", "INT8", "INT16", "INT32", "INT64", "FP32", "FP64")


def classify(tensor: Tensor, class_count: int, labels: Sequence[str] | None, batched: bool) -> Tensor:
    """BYTES (B, k) for a model that batches, else (k,): the classes of highest value, best first.

    tensor: (B, …) or (…); k = min(class_count, elements per row). Equal values keep their order; NaN counts as
    the highest.
    Raises: InvalidRequest for an output that is not made of integers, FP32 or FP64.
    """
    datatype = datatype_of(tensor)
    if datatype not in _NUMBERS:
        raise InvalidRequest(f"class result not available for output due to unsupported type '{datatype}'")
    batch_size = tensor.shape[0] if batched and tensor.ndim else 1
    rows = tensor.reshape(batch_size, -1) if tensor.size else np.empty((batch_size, 0), tensor.dtype)
    # A stable sort of the mirrored columns, read backwards: descending, equal values by ascending index.
    best_first = rows.shape[1] - 1 - np.argsort(rows[:, ::-1], axis=1, kind="stable")[:, ::-1][:, :class_count]
    classes = [
        _class_string(value, index, labels)
        for row, indices in zip(rows, best_first, strict=True)
        for value, index in zip(row[indices].tolist(), indices.tolist(), strict=True)
    ]
    shape = best_first.shape if batched and tensor.ndim else best_first.shape[1:]
    return strings_tensor(classes, shape)


def _class_string(value: float | int, index: int, labels: Sequence[str] | None) -> bytes:
    # C++'s std::to_string: six decimals for floating point, none for integers.
    number = f"{value:f}" if isinstance(value, float) else str(value)
    label = f":{labels[index]}" if labels and index < len(labels) and labels[index] else ""
    return f"{number}:{index}{label}".encode()
