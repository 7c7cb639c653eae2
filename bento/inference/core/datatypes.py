"""Triton's data types: protocol name ("FP32"), config name (TYPE_FP32), NumPy type and width.

BYTES is TYPE_STRING in configurations and an object array of `bytes` in NumPy.
"""

from __future__ import annotations

import ml_dtypes
import numpy as np
import numpy.typing as npt
from tritonclient.grpc import model_config_pb2

from bento.inference.core.messages import Tensor

NUMPY_TYPES: dict[str, np.dtype[np.generic]] = {
    "BOOL": np.dtype(np.bool_),
    "UINT8": np.dtype(np.uint8),
    "UINT16": np.dtype(np.uint16),
    "UINT32": np.dtype(np.uint32),
    "UINT64": np.dtype(np.uint64),
    "INT8": np.dtype(np.int8),
    "INT16": np.dtype(np.int16),
    "INT32": np.dtype(np.int32),
    "INT64": np.dtype(np.int64),
    "FP16": np.dtype(np.float16),
    "FP32": np.dtype(np.float32),
    "FP64": np.dtype(np.float64),
    "BF16": np.dtype(ml_dtypes.bfloat16),
    "BYTES": np.dtype(np.object_),
}
"""NumPy type of each protocol data type."""

_DATATYPES = {numpy_type: name for name, numpy_type in NUMPY_TYPES.items()}


def datatype_of(tensor: Tensor) -> str:
    """Protocol data type of an array ("FP32"); fixed-width byte and text arrays are BYTES, the rest "INVALID"."""
    return datatype_of_numpy(tensor.dtype)


def datatype_of_numpy(numpy_type: npt.DTypeLike) -> str:
    """Protocol data type of a NumPy type; "INVALID" when Triton has none."""
    dtype = np.dtype(numpy_type)
    return _DATATYPES.get(dtype) or ("BYTES" if dtype.kind in "SU" else "INVALID")


def config_type_name(datatype: str) -> str:
    """ "FP32" → "TYPE_FP32", "BYTES" → "TYPE_STRING"."""
    return "TYPE_STRING" if datatype == "BYTES" else f"TYPE_{datatype}"


def datatype_of_config(data_type: int) -> str:
    """Protocol name of a `ModelConfig` data type number; TYPE_INVALID gives "INVALID"."""
    name = model_config_pb2.DataType.Name(data_type).removeprefix("TYPE_")
    return "BYTES" if name == "STRING" else name


def config_type_of(datatype: str) -> int:
    """`ModelConfig` data type number of a protocol name. Raises ValueError for an unknown name."""
    return int(model_config_pb2.DataType.Value(config_type_name(datatype)))
