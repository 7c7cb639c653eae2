"""A gRPC message like an earlier one is not parsed again, and what differs between two of them never gets lost."""

from __future__ import annotations

from typing import Any

import grpc
import numpy as np
import pytest
from tritonclient.grpc import service_pb2 as pb

from bento.inference.core.messages import InferResponse
from bento.inference.over_grpc.codec import decode_request, encode_response
from bento.inference.over_grpc.fast_messages import MAX_BEGINNING_BYTES, MAX_MESSAGES, FastMessages
from bento.inference.protocol.output_delivery import IN_BINARY, DecodedRequest, OutputDelivery
from bento.inference.protocol.shared_memory import SharedMemoryRegistry
from tests.inference.numpy_server import NumpyServer

INFER = "/inference.GRPCInferenceService/ModelInfer"


def pair(seed: int, **fields: Any) -> pb.ModelInferRequest:
    """Two inputs: a (2, 2) FP32 and b (50,) INT64, whose length takes two bytes."""
    message = pb.ModelInferRequest(model_name="m", **fields)
    for name, tensor in zip(("a", "b"), tensors(seed), strict=True):
        datatype = "FP32" if name == "a" else "INT64"
        message.inputs.add(name=name, datatype=datatype, shape=tensor.shape)
        message.raw_input_contents.append(tensor.tobytes())
    return message


def tensors(seed: int) -> tuple[np.ndarray, np.ndarray]:
    return np.full((2, 2), seed, np.float32), np.full(50, -seed, np.int64)


def messages() -> FastMessages:
    server: Any = NumpyServer()
    return FastMessages(server)


def read(known: FastMessages, data: bytes) -> DecodedRequest | None:
    template = known.find(data)
    return None if template is None else template.read(data)


def remembered(known: FastMessages, message: pb.ModelInferRequest) -> DecodedRequest:
    decoded = decode_request(message, SharedMemoryRegistry())
    known.remember(message.SerializeToString(), message, decoded)
    return decoded


def test_the_second_request_is_read_like_the_first_with_its_own_tensors() -> None:
    known = messages()
    output = pb.ModelInferRequest.InferRequestedOutputTensor(name="y")
    output.parameters["classification"].int64_param = 2
    fields: dict[str, Any] = {"model_version": "3", "outputs": [output]}
    assert read(known, pair(1, **fields).SerializeToString()) is None
    first = remembered(known, pair(1, **fields))
    second = read(known, pair(2, **fields).SerializeToString())
    assert second is not None
    assert (second.request.model_name, second.request.model_version) == ("m", "3")
    for name, tensor in zip(("a", "b"), tensors(2), strict=True):
        np.testing.assert_array_equal(second.request.inputs[name], tensor)
        assert second.request.inputs[name].dtype is first.request.inputs[name].dtype
        assert second.request.inputs[name].flags.aligned
    assert second.request.requested_outputs == ("y",)
    assert second.delivery("y").class_count == 2
    assert second.delivery("x") == IN_BINARY
    assert second.request.inputs is not first.request.inputs


def test_any_other_byte_but_a_tensors_is_read_the_long_way() -> None:
    known = messages()
    first = remembered(known, pair(1))
    data = pair(1).SerializeToString()
    of_tensors = sum(tensor.nbytes for tensor in first.request.inputs.values())
    known_anyway = 0
    for position in range(len(data)):
        changed = bytearray(data)
        changed[position] ^= 0x55
        known_anyway += read(known, bytes(changed)) is not None
    assert known_anyway == of_tensors
    assert read(known, data + b"\0") is None
    assert read(known, data[:-1]) is None


def test_tensors_whose_sizes_trade_places_are_not_confused() -> None:
    def two(first: int, second: int) -> pb.ModelInferRequest:
        message = pb.ModelInferRequest(model_name="m")
        for name, size in (("a", first), ("b", second)):
            message.inputs.add(name=name, datatype="UINT8", shape=[size])
            message.raw_input_contents.append(bytes(size))
        return message

    known = messages()
    for sizes in ((3, 4), (4, 3)):
        remembered(known, two(*sizes))
    for sizes in ((3, 4), (4, 3)):
        decoded = read(known, two(*sizes).SerializeToString())
        assert decoded is not None
        assert tuple(tensor.size for tensor in decoded.request.inputs.values()) == sizes


def with_parameter(name: str, **value: Any) -> pb.ModelInferRequest:
    message = pair(1)
    message.parameters[name].CopyFrom(pb.InferParameter(**value))
    return message


def strings() -> pb.ModelInferRequest:
    message = pb.ModelInferRequest(model_name="m", raw_input_contents=[b"\1\0\0\0a"])
    message.inputs.add(name="a", datatype="BYTES", shape=[1])
    return message


def misfit() -> pb.ModelInferRequest:
    message = pair(1)
    message.raw_input_contents[0] = b"abc"
    return message


def typed() -> pb.ModelInferRequest:
    message = pb.ModelInferRequest(model_name="m")
    message.inputs.add(name="a", datatype="FP32", shape=[1]).contents.fp32_contents.append(1)
    return message


def surplus() -> pb.ModelInferRequest:
    message = pair(1)
    message.raw_input_contents.append(b"more")
    return message


@pytest.mark.parametrize(
    "message",
    [
        pair(1, id="7"),
        with_parameter("mood", string_param="sad"),
        with_parameter("sequence_id", int64_param=4),
        pair(1, model_version="9" * 18, outputs=[pb.ModelInferRequest.InferRequestedOutputTensor(name="x" * 1024)]),
        strings(),
        misfit(),
        typed(),
        surplus(),
    ],
)
def test_what_belongs_to_one_request_alone_is_not_kept(message: pb.ModelInferRequest) -> None:
    known = messages()
    remembered(known, message)
    assert read(known, message.SerializeToString()) is None


def test_a_message_in_another_order_is_not_kept() -> None:
    message = pair(1)
    contents = pb.ModelInferRequest(raw_input_contents=message.raw_input_contents).SerializeToString()
    data = contents + pb.ModelInferRequest(model_name="m", inputs=message.inputs).SerializeToString()
    parsed = pb.ModelInferRequest.FromString(data)
    assert parsed == message
    known = messages()
    known.remember(data, parsed, decode_request(parsed, SharedMemoryRegistry()))
    assert read(known, data) is None


def test_their_number_is_bounded() -> None:
    known = messages()
    for number in range(3 * MAX_MESSAGES):
        remembered(known, pair(1, model_version=str(number)))
    found = [known.find(pair(1, model_version=str(number)).SerializeToString()) for number in range(3 * MAX_MESSAGES)]
    assert 0 < len([template for template in found if template is not None]) <= MAX_MESSAGES
    assert MAX_BEGINNING_BYTES * MAX_MESSAGES <= 256 << 10


def answered(seed: int, **fields: Any) -> InferResponse:
    outputs = {"y": np.full((1, 3), seed, np.float32), "z": np.array([b"drama", b"\0"], np.object_)}
    return InferResponse("m", "2", fields.pop("id", ""), outputs, **fields)


def deliveries(**members: OutputDelivery) -> DecodedRequest:
    decoded = decode_request(pair(1), SharedMemoryRegistry())
    decoded.deliveries = members
    return decoded


@pytest.mark.parametrize("fields", [{}, {"id": "7"}, {"parameters": {"mood": "sad"}}])
def test_answers_are_what_protobuf_would_write(fields: dict[str, Any]) -> None:
    answers = messages()
    for seed in range(3):
        data = answers.write(answered(seed, **fields), deliveries())
        expected = encode_response(answered(seed, **fields), deliveries())
        assert pb.ModelInferResponse.FromString(data) == expected
        assert data == expected.SerializeToString()


def test_outputs_of_another_shape_or_type_get_their_own_beginning() -> None:
    answers = messages()
    for tensor in (np.zeros(3, np.float32), np.zeros((3, 1), np.float32), np.zeros(3, np.int32), np.zeros(2, np.int32)):
        response = InferResponse("m", "1", "", {"y": tensor})
        data = answers.write(response, deliveries())
        assert pb.ModelInferResponse.FromString(data) == encode_response(response, deliveries())


def test_outputs_in_shared_memory_are_written_there_every_time() -> None:
    answers, place = messages(), bytearray(12)
    for seed in range(3):
        response = InferResponse("m", "1", "", {"y": np.full(3, seed, np.float32)})
        data = answers.write(response, deliveries(y=OutputDelivery(True, 0, memoryview(place))))
        assert list(np.frombuffer(place, np.float32)) == [seed] * 3
        assert pb.ModelInferResponse.FromString(data).raw_output_contents == [b""]


@pytest.fixture
def ask(numpy_models):
    with grpc.insecure_channel(numpy_models.grpc) as channel:
        yield channel.unary_unary(INFER)


def simple(number: int, model: str = "simple", version: str = "") -> bytes:
    message = pb.ModelInferRequest(model_name=model, model_version=version)
    for name in ("INPUT0", "INPUT1"):
        message.inputs.add(name=name, datatype="INT32", shape=[1, 16])
        message.raw_input_contents.append(np.full(16, number, np.int32).tobytes())
    data: bytes = message.SerializeToString()
    return data


def test_each_call_is_answered_with_its_own_tensors(ask) -> None:
    for number in range(5):
        answer = pb.ModelInferResponse.FromString(ask(simple(number)))
        assert (answer.model_name, answer.model_version) == ("simple", "1")
        assert np.frombuffer(answer.raw_output_contents[0], np.int32).tolist() == [2 * number] * 16


@pytest.mark.parametrize(("model", "version"), [("nope", ""), ("simple", "7"), ("repeat_int32", ""), ("failing", "")])
def test_errors_stay_the_same(ask, model: str, version: str) -> None:
    told = set()
    for number in range(3):
        with pytest.raises(grpc.RpcError) as caught:
            ask(simple(number, model, version))
        told.add((caught.value.code(), caught.value.details()))
    assert len(told) == 1
