"""Every gRPC case is put to the real tritonserver and to ours: status, text and message agree."""

from __future__ import annotations

import re
from typing import Any

import grpc
import pytest
from google.protobuf.message import Message
from tritonclient.grpc import service_pb2 as pb
from tritonclient.grpc import service_pb2_grpc

from tests.inference.triton_parity.grpc_cases import CASES, STREAMS, GrpcCase

pytestmark = pytest.mark.triton


@pytest.fixture(scope="module")
def stubs(reference, ours):
    with grpc.insecure_channel(reference.grpc) as theirs, grpc.insecure_channel(ours.grpc) as mine:
        yield tuple(service_pb2_grpc.GRPCInferenceServiceStub(channel) for channel in (theirs, mine))


def ask(stub: Any, case: GrpcCase) -> tuple[grpc.StatusCode, str, Message | None]:
    try:
        return grpc.StatusCode.OK, "", getattr(stub, case.rpc)(case.request, timeout=60)
    except grpc.RpcError as error:
        return error.code(), error.details(), None


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_both_servers_answer_alike(case, stubs):
    expected_code, expected_text, expected = ask(stubs[0], case)
    code, text, message = ask(stubs[1], case)
    assert code == expected_code, (expected_text, text)
    if case.expect == "same":
        assert text == expected_text
        assert message == expected


@pytest.mark.parametrize("requests", STREAMS.values(), ids=STREAMS)
@pytest.mark.parametrize("empty_final", [False, True])
def test_both_streams_answer_alike(requests, empty_final, stubs):
    sent = []
    for request in requests:
        copy = type(request)()
        copy.CopyFrom(request)
        if empty_final:
            copy.parameters["triton_enable_empty_final_response"].bool_param = True
        sent.append(copy)
    expected, answers = (list(stub.ModelStreamInfer(iter(sent), timeout=60)) for stub in stubs)
    assert [shown(answer) for answer in answers] == [shown(answer) for answer in expected]


@pytest.mark.parametrize(
    ("model", "name", "values"),
    [("failing", "INPUT0", [1]), ("repeat_int32", "IN", [-1]), ("nope", "INPUT0", [1]), ("identity_int32", "X", [1])],
)
def test_both_streams_end_alike_for_a_client_that_wants_errors_as_status(model, name, values, stubs):
    request = pb.ModelInferRequest(model_name=model)
    item = request.inputs.add(name=name, datatype="INT32", shape=[len(values)])
    item.contents.int_contents.extend(values)
    ends = []
    for stub in stubs:
        call = stub.ModelStreamInfer(iter([request]), metadata=(("triton_grpc_error", "true"),), timeout=60)
        try:
            ends.append(([answer.error_message for answer in call], call.code(), call.details()))
        except grpc.RpcError as error:
            ends.append(([], error.code(), error.details()))
    assert ends[1] == ends[0]


def shown(answer: Message) -> str:
    """As text, for a readable difference."""
    return re.sub(r"\s+", " ", str(answer))
