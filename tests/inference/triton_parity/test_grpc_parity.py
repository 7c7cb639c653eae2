"""Every gRPC case is put to the real tritonserver and to ours: status, text and message agree."""

from __future__ import annotations

import re
from typing import Any

import grpc
import pytest
from google.protobuf.message import Message
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


def shown(answer: Message) -> str:
    """As text, for a readable difference."""
    return re.sub(r"\s+", " ", str(answer))
