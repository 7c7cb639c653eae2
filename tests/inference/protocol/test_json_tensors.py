"""Tensors as JSON: what is accepted, what is refused, and tritonserver's notation of numbers and strings."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bento.inference.core.errors import InvalidRequest
from bento.inference.core.messages import InferRequest
from bento.inference.protocol.json_fields import parse_json
from bento.inference.protocol.json_tensors import MalformedJson, tensor_from_json, tensor_to_json
from bento.inference.protocol.tensor_bytes import TensorMisfit, strings_tensor

REQUEST = InferRequest("films", {}, id="r1")


def read(data, datatype="INT32", shape=(4,)):
    return tensor_from_json(data, datatype, shape, "x", REQUEST)


@pytest.mark.parametrize("data", [[1, 2, 3, 4], [[1, 2], [3, 4]], [[[1], [2, 3]], 4], [[[[1, 2, 3, 4]]]]])
def test_nesting_need_not_follow_the_shape(data):
    assert read(data, shape=(2, 2)).tolist() == [[1, 2], [3, 4]]


@pytest.mark.parametrize(
    ("datatype", "data", "expected"),
    [
        ("BOOL", [True, False], [True, False]),
        ("INT8", [-129, 127], [127, 127]),
        ("UINT8", [256, 2**64 - 1], [0, 255]),
        ("INT64", [-(2**63), 2**63 - 1], [-(2**63), 2**63 - 1]),
        ("UINT64", [0, 2**64 - 1], [0, 2**64 - 1]),
        ("FP32", [1, 0.1], [1.0, 0.10000000149011612]),
        ("FP32", [1e39, -1e39], [np.inf, -np.inf]),
        ("FP64", [1, 0.1], [1.0, 0.1]),
        ("BYTES", ["é", "a\0"], ["é".encode(), b"a\0"]),
    ],
)
def test_values_become_elements_and_wide_integers_wrap(datatype, data, expected):
    assert read(data, datatype, (2,)).tolist() == expected


@pytest.mark.parametrize(
    ("datatype", "data", "text"),
    [
        ("INT32", [1.5], "Unable to parse 'data': attempt to access JSON non-signed-integer as signed-integer"),
        ("INT32", [True], "Unable to parse 'data': attempt to access JSON non-signed-integer as signed-integer"),
        ("INT64", [2**63], "Unable to parse 'data': attempt to access JSON non-signed-integer as signed-integer"),
        ("UINT8", [-1], "Unable to parse 'data': attempt to access JSON non-unsigned-integer as unsigned-integer"),
        ("FP32", ["1"], "Unable to parse 'data': attempt to access JSON non-number as double"),
        ("FP32", [True], "Unable to parse 'data': attempt to access JSON non-number as double"),
        ("FP32", [None], "Unable to parse 'data': attempt to access JSON non-number as double"),
        ("BOOL", [1], "Unable to parse 'data': attempt to access JSON non-boolean as boolean"),
        ("BYTES", [1], "Unable to parse JSON bytes array: attempt to access JSON non-string as string"),
        ("INT32", 5, "Unable to parse 'data': attempt to access JSON non-array as array"),
        ("INT32", [1, 2], "Unable to parse 'data': Shape does not match true shape of 'data' field"),
        ("INT32", [], "Unable to parse 'data': Shape does not match true shape of 'data' field"),
    ],
)
def test_values_of_another_kind_or_number_are_refused(datatype, data, text):
    with pytest.raises(MalformedJson) as caught:
        read(data, datatype, (1,))
    assert str(caught.value) == text


@pytest.mark.parametrize("datatype", ["FP16", "BF16"])
def test_json_carries_no_half_precision(datatype):
    with pytest.raises(InvalidRequest, match=f"receiving {datatype} data via JSON is not supported"):
        read([1], datatype, (1,))
    with pytest.raises(InvalidRequest, match=f"sending {datatype} data via JSON is not supported"):
        tensor_to_json(np.zeros(1, np.float16), datatype)


def test_the_number_of_strings_is_checked_like_that_of_binary_ones():
    with pytest.raises(TensorMisfit, match=r"\[request id: r1\] expected 2 string elements .* got 1"):
        read(["a"], "BYTES", (2,))


def test_nesting_has_a_limit():
    deep = [1]
    for _ in range(64):
        deep = [deep]
    assert read(deep[0], shape=(1,)).tolist() == [1]
    with pytest.raises(MalformedJson, match="nested deeper than 64 levels"):
        read([deep], shape=(1,))


def test_an_empty_tensor_takes_any_array():
    assert read([1], "FP32", (0,)).shape == (0,)


def test_nan_and_infinities_are_data():
    data = parse_json(b"[NaN, Infinity, -Infinity]")
    tensor = read(data, "FP32", (3,))
    assert tensor_to_json(tensor, "FP32") == b"[NaN,Infinity,-Infinity]"


def test_numbers_are_written_as_tritonserver_writes_them():
    # The expected bytes are what tritonserver 2.51 answered for these values. (Where two decimals of equal length stand
    # for the same number, its last digit may differ: it does not always take the nearest.)
    values = [0.1, 1.0, 1e20, 1e-7, 123456789.0, 5e-324, -0.0, 1 / 3]
    expected64 = b"[0.1,1.0,100000000000000000000.0,1e-7,123456789.0,5e-324,-0.0,0.3333333333333333]"
    expected32 = (
        b"[0.10000000149011612,1.0,100000002004087730000.0,1.0000000116860974e-7,123456792.0,0.0,"
        b"-0.0,0.3333333432674408]"
    )
    assert tensor_to_json(np.array(values), "FP64") == expected64
    assert tensor_to_json(np.array(values, np.float32), "FP32") == expected32
    assert tensor_to_json(np.array([1e21, 1.5e-6, 0.00001]), "FP64") == b"[1e21,0.0000015,0.00001]"


def test_strings_are_written_as_tritonserver_writes_them():
    # The expected bytes are what tritonserver 2.51 answered for these values.
    elements = [b'quote " back \\ slash /', b"tab\t nl\n nul\0 bell\a del\x7f", "é 中 😀".encode(), b"\xff\xfe"]
    expected = (
        b'["quote \\" back \\\\ slash /","tab\\t nl\\n nul\\u0000 bell\\u0007 del\x7f",'
        b'"\xc3\xa9 \xe4\xb8\xad \xf0\x9f\x98\x80","\xff\xfe"]'
    )
    assert tensor_to_json(strings_tensor(elements, (4,)), "BYTES") == expected


@given(st.lists(st.floats(), max_size=30))
def test_floats_survive_a_round_trip(values):
    written = tensor_to_json(np.array(values, np.float64), "FP64")
    np.testing.assert_array_equal(np.array(json.loads(written), np.float64), np.array(values, np.float64))


@given(st.lists(st.text(max_size=20), max_size=10))
def test_texts_survive_a_round_trip(values):
    written = tensor_to_json(strings_tensor([value.encode() for value in values], (len(values),)), "BYTES")
    assert json.loads(written) == values


@pytest.mark.parametrize(
    "body",
    [b"{", b"\xff", b"[NaN", b"[" * 2000 + b"]" * 2000, b"[NaN]" * 2, b"[1e400]", b"[NaN," + b"1" * 5000 + b"]"],
)
def test_what_is_not_json_is_refused(body):
    with pytest.raises(MalformedJson, match="failed to parse the request JSON buffer"):
        parse_json(body)


def test_deep_nesting_beside_a_nan_is_refused_too():
    with pytest.raises(MalformedJson, match="failed to parse the request JSON buffer"):
        parse_json(b"[NaN," + b"[" * 100_000 + b"]" * 100_000 + b"]")
