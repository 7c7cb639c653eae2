"""Requests whose head came before are answered without the application, and nobody can tell by the answers."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Iterator

import pytest

from bento.inference.over_http.application import infer_fields
from bento.inference.over_http.fast.head_cache import MAX_HEADS, CachedHead, HeadCache
from tests.inference.http_wire import PATH, SIXTEEN, Wire, request


@pytest.fixture
def wire(numpy_models) -> Iterator[Wire]:
    wire = Wire(numpy_models.http_port)
    yield wire
    wire.socket.close()


@pytest.fixture
def passed_on(numpy_models) -> Callable[[], int]:
    """How many infer requests have reached the application since the test began: they were not answered immediately."""
    before = numpy_models.application_requests
    return lambda: numpy_models.application_requests - before


def test_the_third_request_of_its_kind_is_answered_immediately_in_the_same_bytes(wire, passed_on):
    outputs = [{"name": "OUTPUT0", "parameters": {"binary_data": True}}]
    data = request(outputs=outputs, headers="X-Kind: bytes\r\n")
    answers = [wire.ask(data) for _ in range(4)]
    assert passed_on() == 2
    assert answers[1:] == answers[:1] * 3
    assert struct.unpack("<16i", answers[3][1][-64:]) == tuple(range(0, 32, 2))


def test_a_draining_server_leaves_each_request_to_the_application_which_closes_connections(
    wire, passed_on, numpy_models
):
    data = request(headers="X-Kind: drain\r\n")
    answers = [wire.ask(data) for _ in range(3)]
    assert passed_on() == 2
    numpy_models.server.draining = True
    try:
        assert wire.ask(data) == answers[0]
        assert passed_on() == 3
    finally:
        numpy_models.server.draining = False


def test_an_answer_in_json_is_the_same_too(wire, passed_on):
    answers = [wire.ask(request(headers="X-Kind: json\r\n")) for _ in range(4)]
    assert passed_on() == 2
    assert answers[1:] == answers[:1] * 3
    assert json.loads(answers[3][1])["outputs"][1]["data"] == [0] * 16


def test_each_request_is_answered_with_its_own_tensors(wire, passed_on):
    for number in range(5):
        tensor = struct.pack("<16i", *[number] * 16)
        _, answer = wire.ask(request(tensor, SIXTEEN, headers="X-Kind: own\r\n"))
        assert json.loads(answer)["outputs"][0]["data"] == [number + value for value in range(16)]
    assert passed_on() == 2


def test_errors_are_the_same(wire, passed_on):
    for path in ("/v2/models/simple/versions/7/infer", "/v2/models/nope/infer"):
        answers = [wire.ask(request(path=path)) for _ in range(4)]
        assert answers[1:] == answers[:1] * 3
        assert b" 404 " in answers[3][0]
    wrong = [{"name": "OUTPUT9"}]
    answers = [wire.ask(request(outputs=wrong)) for _ in range(4)]
    assert answers[1:] == answers[:1] * 3
    assert b" 400 " in answers[3][0]


def test_a_head_and_a_body_that_come_in_pieces_are_one_request(wire, passed_on):
    data = request(headers="X-Kind: pieces\r\n")
    first = wire.ask(data)
    wire.ask(data)
    end = data.index(b"\r\n\r\n") + 4
    for cut in (end, end + 1, len(data) - 1, end - 2, 20):
        wire.socket.sendall(data[:cut])
        settle(wire)
        assert wire.ask(data[cut:]) == first
    assert passed_on() == 2 + 2  # a head that is cut itself is the application's


def settle(wire: Wire) -> None:
    """Until the other end has read what was sent: a second connection is answered after it."""
    other = Wire(wire.socket.getpeername()[1])
    other.ask(b"GET /v2 HTTP/1.1\r\nHost: films\r\n\r\n")
    other.socket.close()


def test_requests_that_are_sent_ahead_are_answered_in_order(wire, passed_on):
    data = request(headers="X-Kind: ahead\r\n")
    first = wire.ask(data)
    wire.ask(data)
    other = request(path="/v2/models/nope/infer")
    wire.socket.sendall(data + other + data)
    answers = [wire.answer() for _ in range(3)]
    assert answers[0] == answers[2] == first
    assert b" 404 " in answers[1][0]
    assert wire.ask(data) == first
    assert passed_on() == 2 + 3


def test_it_goes_on_after_what_the_application_answered(wire, passed_on):
    data = request(headers="X-Kind: mixed\r\n")
    first = wire.ask(data)
    wire.ask(data)
    for _ in range(3):
        assert b" 200 " in wire.ask(b"GET /v2/health/live HTTP/1.1\r\nHost: films\r\n\r\n")[0]
        assert wire.ask(data) == first
    assert passed_on() == 2


@pytest.mark.parametrize(
    "header", ["Connection: close", "Accept-Encoding: gzip", "Inference-Timing: 1", "Expect: 100-continue"]
)
def test_what_asks_for_more_than_a_plain_answer_is_the_applications(numpy_models, passed_on, header):
    data = request(headers=f"{header}\r\n")
    for _ in range(3):
        wire = Wire(numpy_models.http_port)
        wire.socket.sendall(data)
        assert b"HTTP/1.1 " in wire.take_until(b"\r\n\r\n")
        wire.socket.close()
    assert passed_on() == 3


def test_whoever_wants_a_line_for_every_request_gets_it(numpy_models, wire, passed_on):
    data = request(headers="X-Kind: verbose\r\n")
    first = wire.ask(data)
    wire.ask(data)
    settings = numpy_models.state.log_settings
    settings.log_verbose_level = 1
    try:
        assert wire.ask(data) == first
    finally:
        settings.log_verbose_level = 0
    assert passed_on() == 2 + 1


HEADERS = [(b"host", b"films"), (b"content-length", b"300"), (b"inference-header-content-length", b"172")]


def heads() -> HeadCache:
    return HeadCache(infer_fields, max_body_bytes=1000)


def learned(path: str = PATH, headers: list[tuple[bytes, bytes]] | None = None) -> CachedHead | None:
    known = heads()
    for _ in range(2):
        known.learn(b"head", path, HEADERS if headers is None else headers)
    return known.get(b"head")


def test_a_head_is_kept_when_it_comes_the_second_time():
    known = heads()
    known.learn(b"head", PATH, HEADERS)
    assert known.get(b"head") is None
    known.learn(b"head", PATH, HEADERS)
    assert known.get(b"head") == CachedHead(PATH, "simple", "", 172, 300)
    assert known.get(b"Head") is None


def test_the_version_is_kept_in_its_plain_form():
    head = learned("/v2/models/simple/versions/007/infer")
    assert head is not None
    assert head.version == "7"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        (b"content-length", b"1001"),
        (b"content-length", b"+300"),
        (b"content-length", b""),
        (b"inference-header-content-length", b"301"),
        (b"inference-header-content-length", b"0"),
        (b"inference-header-content-length", b" 172"),
    ],
)
def test_lengths_that_make_no_sense_are_left_to_the_application(name, value):
    assert learned(headers=[item for item in HEADERS if item[0] != name] + [(name, value)]) is None


@pytest.mark.parametrize(
    "header",
    [
        (b"transfer-encoding", b"chunked"),
        (b"content-encoding", b"gzip"),
        (b"accept-encoding", b"gzip, deflate"),
        (b"inference-timing", b"1"),
        (b"expect", b"100-continue"),
        (b"connection", b"close"),
        (b"upgrade", b"h2c"),
        (b"sec-fetch-site", b"cross-site"),
        (b"content-length", b"300"),
    ],
)
def test_a_head_that_asks_for_more_is_not_kept(header):
    assert learned(headers=[*HEADERS, header]) is None


@pytest.mark.parametrize("path", ["/v2/models/simple", "/v2/models/simple/config", "/", "/v2/models//infer"])
def test_heads_of_other_requests_are_not_kept(path):
    assert learned(path) is None


def test_their_number_is_bounded():
    known = heads()
    for number in range(3 * MAX_HEADS):
        for _ in range(2):
            known.learn(b"%d" % number, PATH, HEADERS)
    assert 0 < sum(known.get(b"%d" % number) is not None for number in range(3 * MAX_HEADS)) <= MAX_HEADS


def test_the_number_of_heads_that_came_once_is_bounded():
    known = heads()
    known.learn(b"first", PATH, HEADERS)
    for number in range(MAX_HEADS):
        known.learn(b"%d" % number, PATH, HEADERS)
    known.learn(b"first", PATH, HEADERS)
    assert known.get(b"first") is None  # that it came before was dropped to make room
