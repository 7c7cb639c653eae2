"""Reading requests: every field of a body comes to its own field of the request."""

from __future__ import annotations

import orjson
import pytest
from google.protobuf import text_format
from tritonclient.grpc.model_config_pb2 import ModelConfig

from bento.inference.core.messages import InferRequest, SequenceControl
from bento.inference.protocol.shared_memory import SharedMemoryRegistry
from bento.inference.protocol.v2_codec import decode_raw_request, decode_request


def decoded(**members: object) -> InferRequest:
    body = orjson.dumps({"inputs": [{"name": "X", "datatype": "INT32", "shape": [2], "data": [3, 4]}], **members})
    request = decode_request(body, len(body), "films", "7", SharedMemoryRegistry()).request
    assert request.inputs.pop("X").tolist() == [3, 4]
    return request


def test_every_parameter_is_read_into_its_own_field() -> None:
    parameters = {
        "priority": 2,
        "timeout": 300,
        "sequence_id": 5,
        "sequence_start": False,
        "sequence_end": True,
        "shelf": "new",
    }
    request = decoded(id="request 1", parameters=parameters, outputs=[{"name": "Z"}, {"name": "Y"}])
    assert request == InferRequest(
        "films",
        {},
        "7",
        ("Z", "Y"),
        "request 1",
        {"shelf": "new"},
        priority=2,
        timeout_us=300,
        sequence=SequenceControl(5, start=False, end=True),
    )


def test_a_request_that_says_nothing_has_the_defaults() -> None:
    assert decoded() == InferRequest("films", {}, "7")


@pytest.mark.parametrize("identity", [0, ""])
def test_a_sequence_without_an_id_is_none(identity: int | str) -> None:
    assert decoded(parameters={"sequence_id": identity, "sequence_start": True}).sequence is None


def test_a_raw_body_is_the_one_input_of_the_version_asked_for() -> None:
    config = text_format.Parse(
        'name: "films" max_batch_size: 4 input { name: "X" data_type: TYPE_INT32 dims: -1 }', ModelConfig()
    )
    request = decode_raw_request(b"\x03\0\0\0\x04\0\0\0", "7", config).request
    assert request.inputs.pop("X").tolist() == [[3, 4]]
    assert request == InferRequest("films", {}, "7")
