"""A header that was read before is not read again, and what differs between two requests never gets lost."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from bento.inference.protocol.json_header_cache import MAX_HEADER_BYTES, MAX_HEADERS, JsonHeaderCache
from bento.inference.protocol.output_delivery import DecodedRequest
from bento.inference.protocol.shared_memory import SharedMemoryRegistry
from bento.inference.protocol.v2_codec import decode_request


def pair(**members: Any) -> dict[str, Any]:
    """A header of two inputs: a (2, 2) FP32 and b (3,) INT64."""
    shapes = (("a", [2, 2], "FP32", 16), ("b", [3], "INT64", 24))
    inputs = [
        {"name": name, "shape": shape, "datatype": datatype, "parameters": {"binary_data_size": size}}
        for name, shape, datatype, size in shapes
    ]
    return {"inputs": inputs, **members}


def body(header: dict[str, Any], *tensors: np.ndarray) -> tuple[bytes, int]:
    text = json.dumps(header).encode()
    return text + b"".join(tensor.tobytes() for tensor in tensors), len(text)


def remembered(known: JsonHeaderCache, data: bytes, length: int) -> DecodedRequest:
    decoded = decode_request(data, length, "m", "1", SharedMemoryRegistry())
    known.remember(data, length, decoded)
    return decoded


def tensors(seed: int) -> tuple[np.ndarray, np.ndarray]:
    return np.full((2, 2), seed, np.float32), np.full(3, -seed, np.int64)


def test_the_second_request_is_read_like_the_first_with_its_own_tensors() -> None:
    known = JsonHeaderCache()
    header = pair(
        outputs=[
            {"name": "y", "parameters": {"binary_data": True}},
            {"name": "z", "parameters": {"classification": 2}},
        ],
        parameters={"priority": 3, "timeout": 7, "binary_data_output": True},
    )
    data, length = body(header, *tensors(1))
    assert known.read(data, length, "m", "1") is None
    first = remembered(known, data, length)
    other, _ = body(header, *tensors(2))
    second = known.read(other, length, "another", "5")
    assert second is not None
    assert (second.request.model_name, second.request.model_version) == ("another", "5")
    for name, tensor in zip(("a", "b"), tensors(2), strict=True):
        np.testing.assert_array_equal(second.request.inputs[name], tensor)
        assert second.request.inputs[name].dtype is first.request.inputs[name].dtype
    assert second.request.requested_outputs == ("y", "z")
    assert (second.request.priority, second.request.timeout_us) == (3, 7)
    assert second.delivery("y").binary
    assert second.delivery("z").class_count == 2
    assert second.delivery("x").binary
    assert second.request.inputs is not first.request.inputs


@pytest.mark.parametrize("padding", range(8))
def test_tensors_are_aligned_wherever_their_bytes_stand(padding: int) -> None:
    known = JsonHeaderCache()
    data, length = body(pair(other="x" * padding), *tensors(3))
    remembered(known, data, length)
    decoded = known.read(data, length, "m", "")
    assert decoded is not None
    assert all(tensor.flags.aligned for tensor in decoded.request.inputs.values())
    np.testing.assert_array_equal(decoded.request.inputs["b"], [-3, -3, -3])


def test_a_body_of_another_size_is_read_the_long_way() -> None:
    known = JsonHeaderCache()
    data, length = body(pair(), *tensors(1))
    remembered(known, data, length)
    assert known.read(data + b"x", length, "m", "") is None
    assert known.read(data[:-1], length, "m", "") is None


@pytest.mark.parametrize(
    "header",
    [
        pair(id="7"),
        pair(parameters={"mood": "sad"}),
        pair(parameters={"sequence_id": 4, "sequence_start": True}),
        pair(other="x" * MAX_HEADER_BYTES),
    ],
)
def test_what_belongs_to_one_request_alone_is_not_kept(header: dict[str, Any]) -> None:
    known = JsonHeaderCache()
    data, length = body(header, *tensors(1))
    remembered(known, data, length)
    assert known.read(data, length, "m", "") is None


def test_json_tensors_strings_and_misfits_are_not_kept() -> None:
    known = JsonHeaderCache()
    in_json = {"inputs": [{"name": "a", "shape": [1], "datatype": "FP32", "data": [1]}]}
    text = {
        "inputs": [{"name": "a", "shape": [1], "datatype": "BYTES", "parameters": {"binary_data_size": 5}}],
    }
    misfit = {"inputs": [{"name": "a", "shape": [2], "datatype": "FP32", "parameters": {"binary_data_size": 4}}]}
    for header, rest in ((in_json, b""), (text, b"\1\0\0\0a"), (misfit, b"abcd")):
        data, length = body(header)
        remembered(known, data + rest, length)
        assert known.read(data + rest, length, "m", "") is None


def test_their_number_is_bounded() -> None:
    known = JsonHeaderCache()
    bodies = [body(pair(other=number), *tensors(1)) for number in range(3 * MAX_HEADERS)]
    for data, length in bodies:
        remembered(known, data, length)
    assert 0 < sum(known.read(data, length, "m", "") is not None for data, length in bodies) <= MAX_HEADERS
