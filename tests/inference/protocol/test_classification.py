"""Outputs as classes: tritonserver's strings, order and shapes."""

import numpy as np
import pytest

from bento.inference.core.errors import InvalidRequest
from bento.inference.protocol.classification import classify

GENRES = ["drama", "comedy", ""]


def test_the_highest_values_come_first_with_their_labels():
    scores = np.array([[0.1, 5, 2.5]], np.float32)
    assert classify(scores, 2, GENRES, batched=True).tolist() == [[b"5.000000:1:comedy", b"2.500000:2"]]


def test_values_without_label_have_none():
    assert classify(np.array([1, 2, 3, 4], np.int32), 4, GENRES, batched=False).tolist() == [
        b"4:3",
        b"3:2",
        b"2:1:comedy",
        b"1:0:drama",
    ]
    assert classify(np.array([1, 2], np.int32), 1, None, batched=False).tolist() == [b"2:1"]


def test_equal_values_keep_their_order():
    assert classify(np.ones(4, np.float32), 4, None, batched=False).tolist() == [
        b"1.000000:0",
        b"1.000000:1",
        b"1.000000:2",
        b"1.000000:3",
    ]


@pytest.mark.parametrize(
    ("shape", "batched", "expected"),
    [
        ((2, 3), True, (2, 3)),
        ((2, 3), False, (4,)),
        ((2, 2, 2), True, (2, 4)),
        ((0, 3), True, (0, 0)),
        ((), False, (1,)),
    ],
)
def test_the_batch_axis_stays(shape, batched, expected):
    assert classify(np.zeros(shape, np.float32), 4, None, batched).shape == expected


def test_large_values_are_written_out():
    assert classify(np.array([1e10, 2**63], np.float64), 2, None, batched=False).tolist() == [
        b"9223372036854775808.000000:1",
        b"10000000000.000000:0",
    ]
    assert classify(np.array([2**64 - 1], np.uint64), 1, None, batched=False).tolist() == [b"18446744073709551615:0"]


def test_infinities_and_nan_have_their_place():
    scores = np.array([1, np.inf, np.nan, -np.inf], np.float32)
    assert classify(scores, 4, None, batched=False).tolist() == [b"nan:2", b"inf:1", b"1.000000:0", b"-inf:3"]


@pytest.mark.parametrize("array", [np.array([b"a"], np.object_), np.array([True]), np.zeros(1, np.float16)])
def test_what_has_no_order_of_numbers_has_no_classes(array):
    with pytest.raises(InvalidRequest, match="class result not available for output due to unsupported type"):
        classify(array, 1, None, batched=False)
