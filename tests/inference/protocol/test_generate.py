"""The generate extension: plain JSON in, plain JSON or an event stream out."""

from __future__ import annotations

import asyncio
import http.client
import json
from typing import Any

import pytest

SIXTEEN = list(range(16))


def asked(numpy_models: Any, path: str, value: object) -> tuple[int, str, bytes]:
    """Status, content type and body."""
    connection = http.client.HTTPConnection(numpy_models.http, timeout=20)
    try:
        body = value if isinstance(value, bytes) else json.dumps(value).encode()
        connection.request("POST", f"/v2/models/{path}", body)
        response = connection.getresponse()
        return response.status, response.headers["content-type"], response.read()
    finally:
        connection.close()


def generated(numpy_models: Any, model: str, value: object) -> tuple[int, Any]:
    status, content_type, body = asked(numpy_models, f"{model}/generate", value)
    assert content_type == "application/json"
    return status, json.loads(body)


def events(numpy_models: Any, model: str, value: object) -> tuple[int, list[Any]]:
    status, content_type, body = asked(numpy_models, f"{model}/generate_stream", value)
    assert content_type == "text/event-stream; charset=utf-8"
    *parts, end = body.decode().split("\n\n")
    assert end == ""
    assert all(part.startswith("data: ") for part in parts)
    return status, [json.loads(part.removeprefix("data: ")) for part in parts]


def test_one_element_comes_as_itself_and_more_as_a_list(numpy_models):
    named = {"model_name": "identity_fp32", "model_version": "1"}
    assert generated(numpy_models, "identity_fp32", {"INPUT0": 1.5}) == (200, {**named, "OUTPUT0": 1.5})
    assert generated(numpy_models, "identity_fp32", {"INPUT0": [1.5]}) == (200, {**named, "OUTPUT0": 1.5})
    assert generated(numpy_models, "identity_fp32", {"INPUT0": [1, 2]}) == (200, {**named, "OUTPUT0": [1, 2]})
    assert generated(numpy_models, "identity_fp32", {"INPUT0": []}) == (200, {**named, "OUTPUT0": []})


def test_text_is_text(numpy_models):
    status, answer = generated(numpy_models, "identity_string", {"INPUT0": 'say "é"'})
    assert (status, answer["OUTPUT0"]) == (200, 'say "é"')


def test_a_fixed_shape_takes_its_elements_and_rows_as_many_as_there_are(numpy_models):
    status, answer = generated(numpy_models, "simple", {"INPUT0": SIXTEEN * 2, "INPUT1": [SIXTEEN, SIXTEEN] * 16})
    assert status == 400  # 32 lists are 2 rows of 16 elements, each of them a list of 16
    assert "Shape does not match true shape" in answer["error"]
    status, answer = generated(numpy_models, "simple", {"INPUT0": SIXTEEN * 2, "INPUT1": SIXTEEN * 2})
    assert (status, answer["OUTPUT0"]) == (200, [2 * value for value in SIXTEEN * 2])


@pytest.mark.parametrize(
    ("model", "value"),
    [
        ("simple", {"INPUT0": 1, "INPUT1": 2}),
        ("simple", {"INPUT0": SIXTEEN[1:], "INPUT1": SIXTEEN}),
        ("identity_2d", {"INPUT0": [1, 2, 3]}),
        ("raw_string", {"INPUT0": []}),
    ],
)
def test_elements_that_fill_no_shape_are_refused(numpy_models, model, value):
    status, answer = generated(numpy_models, model, value)
    assert status == 400
    text = "batch-size must be >= 1" if model == "raw_string" else "The schema can not convert input 'INPUT0' to tensor"
    assert text in answer["error"]


def test_other_members_are_parameters_and_the_id_comes_back(numpy_models):
    value = {"INPUT0": 1, "id": "q7", "temperature": 0.5, "parameters": {"top_k": 3}, "seed": None}
    status, answer = generated(numpy_models, "echo_parameters", value)
    assert (status, answer["id"]) == (200, "q7")
    assert answer["OUTPUT0"] == "[('temperature', 0.5), ('top_k', 3)]"


@pytest.mark.parametrize(
    ("model", "value", "status", "text"),
    [
        ("echo_parameters", {"INPUT0": 1, "stop": ["a"]}, 400, "parameter 'stop' has invalid type."),
        ("echo_parameters", {"INPUT0": 1, "parameters": {"stop": {}}}, 400, "Converting keyword: 'parameters': param"),
        ("echo_parameters", {"INPUT0": 1, "parameters": "x"}, 400, "Expected JSON object for keyword: 'parameters'"),
        ("echo_parameters", {"INPUT0": 1, "id": 7}, 400, "Unable to parse 'id'"),
        ("echo_parameters", {}, 400, "[request id: <id_unknown>] expected 1 inputs but got 0 inputs"),
        ("echo_parameters", [1], 400, "attempt to get members for non-object"),
        ("echo_parameters", b"", 400, "failed to parse the request JSON buffer: The document is empty. at 0"),
        ("identity_fp16", {"INPUT0": 1}, 400, "receiving FP16 data via JSON is not supported."),
        ("failing", {"INPUT0": 1}, 400, "the film is missing"),
        ("crashing", {"INPUT0": 1}, 500, "internal error, see the server's log"),
        ("nope", {"INPUT0": 1}, 404, "Request for unknown model: 'nope' is not found"),
        ("simple/versions/7", {"INPUT0": 1}, 404, "Request for unknown model: 'simple' version 7 is not found"),
    ],
)
def test_what_is_wrong_is_said(numpy_models, model, value, status, text):
    got, answer = generated(numpy_models, model, value)
    assert got == status
    assert answer["error"].startswith(text)


def test_a_stream_of_an_ordinary_model_has_its_one_answer(numpy_models):
    status, answers = events(numpy_models, "identity_fp32/versions/1", {"INPUT0": [1, 2], "id": "q7"})
    assert (status, [(answer["OUTPUT0"], answer["id"]) for answer in answers]) == (200, [([1, 2], "q7")])


def test_a_stream_of_a_decoupled_model_has_as_many_as_it_gives(numpy_models):
    assert events(numpy_models, "repeat_int32", {"IN": []}) == (200, [])
    status, answers = events(numpy_models, "repeat_int32", {"IN": [5, 6, 7]})
    assert (status, [answer["OUT"] for answer in answers]) == (200, [5, 6, 7])


def test_an_error_is_an_event_and_the_first_decides_the_status(numpy_models):
    assert events(numpy_models, "failing", {"INPUT0": 1}) == (400, [{"error": "the film is missing"}])
    assert events(numpy_models, "repeat_int32", {"IN": [-1]}) == (400, [{"error": "negative"}])
    status, answers = events(numpy_models, "repeat_int32", {"IN": [5, -1]})
    assert (status, answers[0]["OUT"], answers[1:]) == (200, 5, [{"error": "negative"}])


def test_what_is_wrong_with_the_request_itself_is_no_event(numpy_models):
    status, content_type, body = asked(numpy_models, "nope/generate_stream", {"INPUT0": 1})
    assert (status, content_type) == (404, "application/json")
    assert json.loads(body)["error"].startswith("Request for unknown model")


@pytest.mark.parametrize("values", [[], [5, 6]])
def test_generate_wants_exactly_one_answer(numpy_models, values):
    assert generated(numpy_models, "repeat_int32", {"IN": [5]})[1]["OUT"] == 5
    status, answer = generated(numpy_models, "repeat_int32", {"IN": values})
    assert status == 400
    assert answer["error"].startswith("generate expects model to produce exactly 1 response")


@pytest.mark.parametrize("endpoint", ["generate", "generate_stream"])
def test_a_client_that_leaves_takes_its_request_along(numpy_models, endpoint):
    server = numpy_models.server

    async def forget() -> None:
        server.held.clear()
        server.let_go.clear()

    numpy_models.run(forget())
    connection = http.client.HTTPConnection(numpy_models.http, timeout=20)
    connection.request("POST", f"/v2/models/held/{endpoint}", json.dumps({"INPUT0": 1}))
    numpy_models.run(asyncio.wait_for(server.held.wait(), 20))
    connection.close()
    numpy_models.run(asyncio.wait_for(server.let_go.wait(), 20))
