"""Tensors as bytes: round trips, layout, and what does not fit."""

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bento.inference.core.errors import InvalidRequest
from bento.inference.core.messages import InferRequest
from bento.inference.protocol.tensor_bytes import TensorMisfit, read_tensor, stand_in, strings_tensor, tensor_bytes

REQUEST = InferRequest("films", {}, id="r1")
ARRAYS = {
    "BOOL": np.array([True, False, True]),
    "UINT8": np.array([0, 255, 7], np.uint8),
    "UINT16": np.array([0, 65535, 7], np.uint16),
    "UINT32": np.array([0, 2**32 - 1, 7], np.uint32),
    "UINT64": np.array([0, 2**64 - 1, 7], np.uint64),
    "INT8": np.array([-128, 127, 7], np.int8),
    "INT16": np.array([-32768, 32767, 7], np.int16),
    "INT32": np.array([-(2**31), 2**31 - 1, 7], np.int32),
    "INT64": np.array([-(2**63), 2**63 - 1, 7], np.int64),
    "FP16": np.array([1.5, -2, np.nan], np.float16),
    "FP32": np.array([1.5, -np.inf, np.nan], np.float32),
    "FP64": np.array([1.5, -np.inf, np.nan], np.float64),
    "BF16": np.array([1.5, -2, np.nan], ml_dtypes.bfloat16),
}


@pytest.mark.parametrize("datatype", ARRAYS)
def test_every_fixed_width_type_survives_a_round_trip(datatype):
    array = ARRAYS[datatype]
    back = read_tensor(bytes(tensor_bytes(array)), datatype, (3,), "x", REQUEST)
    assert back.dtype == array.dtype
    np.testing.assert_array_equal(back.view(np.uint8), array.view(np.uint8))


def test_numbers_are_little_endian_and_row_major():
    assert bytes(tensor_bytes(np.array([[1, 2], [3, 4]], np.int16).T)) == bytes([1, 0, 3, 0, 2, 0, 4, 0])


def test_an_aligned_tensor_is_read_without_a_copy():
    data = bytearray(8)
    tensor = read_tensor(memoryview(data), "INT32", (2,), "x", REQUEST)
    data[0] = 9
    assert tensor.tolist() == [9, 0]


@pytest.mark.parametrize("offset", range(8))
def test_a_tensor_is_aligned_wherever_its_bytes_stand(offset):
    data = bytes(offset) + np.arange(3.0).tobytes()
    tensor = read_tensor(memoryview(data)[offset:], "FP64", (3,), "x", REQUEST)
    assert tensor.flags.aligned
    assert tensor.tolist() == [0, 1, 2]


def test_a_string_is_its_length_in_four_bytes_and_its_bytes():
    strings = strings_tensor([b"ab", b"", b"\0"], (3,))
    assert tensor_bytes(strings) == b"\2\0\0\0ab" + b"\0\0\0\0" + b"\1\0\0\0\0"


@given(st.lists(st.binary(max_size=40), max_size=200))
def test_strings_survive_a_round_trip(elements):
    data = tensor_bytes(strings_tensor(elements, (len(elements),)))
    assert read_tensor(data, "BYTES", (len(elements),), "x", REQUEST).tolist() == elements


def test_text_and_fixed_width_strings_are_written_as_bytes():
    assert tensor_bytes(np.array(["é"], np.object_)) == b"\2\0\0\0\xc3\xa9"
    assert tensor_bytes(np.array(["é"])) == b"\2\0\0\0\xc3\xa9"
    assert tensor_bytes(np.array([b"a"])) == b"\1\0\0\0a"


def test_an_empty_tensor_has_no_bytes():
    assert read_tensor(b"", "FP32", (0, 4), "x", REQUEST).shape == (0, 4)
    assert read_tensor(b"", "BYTES", (0,), "x", REQUEST).shape == (0,)
    assert bytes(tensor_bytes(np.zeros((0, 4), np.float32))) == b""
    assert bytes(tensor_bytes(np.zeros(0, np.object_))) == b""


MISFITS = [
    (b"123", "FP32", (1,), "input byte size mismatch for input 'x' for model 'films'. Expected 4, got 3"),
    (b"", "INT64", (2**40,), "input byte size mismatch for input 'x' for model 'films'. Expected 8796093022208, got 0"),
    (b"\1\0\0\0a", "BYTES", (2,), "expected 2 string elements for inference input 'x' for model 'films', got 1"),
    (
        b"\1\0\0\0a\1\0\0\0b",
        "BYTES",
        (1,),
        "unexpected number of string elements 2 for inference input 'x' for model 'films', expecting 1",
    ),
    (
        b"\1\0",
        "BYTES",
        (1,),
        "incomplete string length indicator for inference input 'x' for model 'films', expecting 4 bytes but only 2 "
        "bytes available. Please make sure the string length indicator is in one buffer.",
    ),
]


@pytest.mark.parametrize(("data", "datatype", "shape", "text"), MISFITS)
def test_bytes_that_do_not_fill_the_shape_are_refused(data, datatype, shape, text):
    with pytest.raises(TensorMisfit) as caught:
        read_tensor(data, datatype, shape, "x", REQUEST)
    assert str(caught.value) == f"[request id: r1] {text}"


def test_a_string_that_is_cut_short_is_refused():
    with pytest.raises(TensorMisfit, match="expecting string of length 2147483648 but only 1 bytes available"):
        read_tensor(b"\0\0\0\x80a", "BYTES", (1,), "x", REQUEST)


def test_a_shape_that_no_tensor_can_have_is_refused_before_anything_is_allocated():
    with pytest.raises(InvalidRequest, match=r"All input dimensions should be specified .* got \[-1,2\]"):
        read_tensor(b"", "FP32", (-1, 2), "x", REQUEST)
    with pytest.raises(InvalidRequest, match="has 65 dimensions, at most 64"):
        read_tensor(b"", "FP32", (1,) * 65, "x", REQUEST)
    with pytest.raises(InvalidRequest, match="larger than any tensor"):
        stand_in("FP32", (2**40, 2**40), "x", REQUEST)


def test_a_stand_in_has_the_shape_and_type_but_no_memory():
    tensor = stand_in("FP32", (2**30, 8), "x", REQUEST)
    assert (tensor.shape, tensor.dtype, tensor.strides) == ((2**30, 8), np.float32, (0, 0))
