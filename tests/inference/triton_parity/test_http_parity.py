"""Every HTTP case is put to the real tritonserver and to ours: status, text and bytes agree."""

from __future__ import annotations

import gzip
import http.client
import json
import zlib

import pytest

from tests.inference.triton_parity.http_cases import (
    BROKEN_JSON,
    ENDPOINTS,
    GENERATE,
    REQUESTS,
    SIMPLE,
    HttpCase,
    post,
    simple,
)

pytestmark = pytest.mark.triton


def ask(address: str, case: HttpCase) -> tuple[int, dict[str, str], bytes]:
    """Status, headers that clients look at, and body."""
    connection = http.client.HTTPConnection(address, timeout=60)
    try:
        connection.request(case.method, case.path, case.body, case.headers)
        response = connection.getresponse()
        body = response.read()
    finally:
        connection.close()
    names = ("inference-header-content-length", "content-encoding")
    return response.status, {name: response.headers[name] for name in names if name in response.headers}, body


def plain(headers: dict[str, str], body: bytes) -> bytes:
    """The body, decompressed."""
    coding = headers.get("content-encoding")
    return gzip.decompress(body) if coding == "gzip" else zlib.decompress(body) if coding == "deflate" else body


@pytest.mark.parametrize("case", [*ENDPOINTS, *REQUESTS, *GENERATE], ids=lambda case: case.name)
def test_both_servers_answer_alike(case, reference, ours):
    expected_status, expected_headers, expected = ask(reference.http, case)
    status, headers, body = ask(ours.http, case)
    if case.expect == "malformed":
        assert (expected_status, status) == (500, 400), (expected, body)
        assert body == expected
        return
    assert status == expected_status, (expected, body)
    if case.expect == "json":
        assert json.loads(plain(headers, body)) == json.loads(plain(expected_headers, expected))
        assert headers == expected_headers
    elif case.expect == "same":
        assert body == expected
        assert headers == expected_headers


@pytest.mark.parametrize("case", BROKEN_JSON, ids=lambda case: case.name)
def test_broken_json_is_the_clients_fault_here(case, reference, ours):
    expected_status, _, expected = ask(reference.http, case)
    status, _, body = ask(ours.http, case)
    assert (expected_status, status) == (500, 400)
    beginning = "failed to parse the request JSON buffer: "
    assert json.loads(expected)["error"].startswith(beginning)
    assert json.loads(body)["error"].startswith(beginning)


@pytest.mark.parametrize("members", [{"id": None}, {"parameters": None}, {"parameters": {"mine": None}}])
def test_a_member_that_is_null_is_no_mistake_here(members, reference, ours):
    case = post("null", SIMPLE, simple(**members))
    assert ask(reference.http, case)[0] in (400, 500)
    assert ask(ours.http, case) == ask(ours.http, post("absent", SIMPLE, simple()))


def test_a_batch_of_none_is_refused_in_plainer_words_here(reference, ours):
    tensors = [{"name": name, "shape": [0, 16], "datatype": "INT32", "data": []} for name in ("INPUT0", "INPUT1")]
    case = post("a batch of none", SIMPLE, {"inputs": tensors})
    (expected_status, _, expected), (status, _, body) = ask(reference.http, case), ask(ours.http, case)
    assert (expected_status, status) == (400, 400)
    assert b"input byte size mismatch for input 'INPUT1' for model 'simple'. Expected 64, got 0" in expected
    assert b"batch-size must be >= 1 for 'simple', got shape [0,16] for input 'INPUT1'" in body


@pytest.mark.parametrize("model", ["simple", "identity_fp32"])
def test_an_empty_body_is_no_raw_input_here(model, reference, ours):
    # Triton takes it for a raw input, so a body that was lost on the way is answered as if it were an empty tensor.
    case = post("an empty body", f"/v2/models/{model}/infer", b"")
    expected_status, _, expected = ask(reference.http, case)
    status, _, body = ask(ours.http, case)
    assert (expected_status, status) == (400 if model == "simple" else 200, 400)
    assert model != "simple" or b"Raw request must only have 1 input" in expected
    assert json.loads(body) == {"error": "failed to parse the request JSON buffer: The document is empty. at 0"}


def test_a_required_input_that_is_missing_is_the_clients_fault_here(reference, ours):
    # Triton only counts inputs: with an optional one in its place the model gets the request, and breaks.
    tensor = {"name": "INPUT1", "shape": [1, 2], "datatype": "FP32", "data": [1, 2]}
    case = post("only the optional input", "/v2/models/optional/infer", {"inputs": [tensor]})
    assert ask(reference.http, case)[0] == 500
    status, _, body = ask(ours.http, case)
    assert status == 400
    assert "missing required input(s) ['INPUT0']" in json.loads(body)["error"]
