"""Offers to change the protocol are ignored: a request that carries one is answered like any other, and only once."""

from __future__ import annotations

import asyncio
import json
import re
import struct
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest
import uvicorn
from uvicorn.server import ServerState

from bento.inference.over_http.fast.immediate_answers import ImmediateAnswers
from bento.inference.over_http.fast.immediate_protocol import ImmediateProtocol
from bento.inference.over_http.fast.joined_writes import JoinedWritesProtocol
from bento.inference.protocol.front_end import FrontEndState
from tests.inference.numpy_server import NumpyServer
from tests.inference.over_http.fast.test_immediate_answers import SIXTEEN, Wire, request
from tests.inference.over_http.fast.test_immediate_protocol import Transport

OFFER = "Connection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAEAAEAAAAIAAAAB\r\nUpgrade: h2c\r\n"
LIKE_A_REQUEST = b"POST /v2/models/simple/infer HTTP/1.1\r\nContent-Length: 0\r\n\r\n"

Asked = tuple[str, str, bytes]
"""Method, path and body."""


def post(path: str, body: bytes, headers: str = OFFER) -> bytes:
    return f"POST {path} HTTP/1.1\r\nHost: localhost\r\n{headers}Content-Length: {len(body)}\r\n\r\n".encode() + body


def chunked(path: str, *chunks: bytes, headers: str = OFFER, trailer: bytes = b"") -> bytes:
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\n{headers}Transfer-Encoding: chunked\r\n\r\n".encode()
    return head + b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\n" + trailer + b"\r\n"


class Echo:
    """An application that answers with what it was asked."""

    def __init__(self) -> None:
        self.asked: list[Asked] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        body, more = b"", True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            body, more = body + message["body"], message["more_body"]
        self.asked.append((scope["method"], scope["path"], body))
        answer = scope["path"].encode() + b" " + body
        headers = [(b"content-length", b"%d" % len(answer))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": answer})


class Connection:
    """A connection to an echo whose bytes come in the pieces that a test gives."""

    def __init__(self, make: Callable[..., JoinedWritesProtocol]) -> None:
        self.echo, self.transport = Echo(), Transport()
        config = uvicorn.Config(self.echo, access_log=False, log_config=None, ws="none", http="httptools")
        config.load()
        self._protocol = make(config=config, server_state=ServerState(), app_state={})
        self._protocol.connection_made(self.transport)  # type: ignore[arg-type]

    async def send(self, *pieces: bytes) -> None:
        for piece in pieces:
            self._protocol.data_received(piece)
            await self.turn()

    async def turn(self, rounds: int = 5) -> None:
        """Let the application run; an answer takes less than five rounds of the loop."""
        for _ in range(rounds):
            await asyncio.sleep(0)

    @property
    def answers(self) -> list[bytes]:
        """The bodies on the wire."""
        return re.split(rb"HTTP/1\.1 200 OK\r\n.*?\r\n\r\n", self.transport.sent, flags=re.DOTALL)[1:]

    def lose(self) -> None:
        self._protocol.connection_lost(None)


@pytest.fixture(params=["ordinary", "at once"])
async def connect(request: pytest.FixtureRequest) -> Any:
    """Makes connections of both kinds."""
    immediate = ImmediateAnswers(NumpyServer(), FrontEndState(), 1 << 20)  # type: ignore[arg-type]
    kinds = {"ordinary": JoinedWritesProtocol, "at once": partial(ImmediateProtocol, immediate=immediate)}
    made: list[Connection] = []

    def make() -> Connection:
        made.append(Connection(kinds[request.param]))
        return made[-1]

    yield make
    for connection in made:
        connection.lose()


REQUESTS: dict[str, tuple[bytes, Asked]] = {
    "a body": (post("/films", b"Alien"), ("POST", "/films", b"Alien")),
    "a body like a request": (post("/films", LIKE_A_REQUEST), ("POST", "/films", LIKE_A_REQUEST)),
    "an infer request": (
        post("/v2/models/simple/infer", LIKE_A_REQUEST),
        ("POST", "/v2/models/simple/infer", LIKE_A_REQUEST),
    ),
    "chunks": (chunked("/films", b"Al", LIKE_A_REQUEST, b"ien"), ("POST", "/films", b"Al" + LIKE_A_REQUEST + b"ien")),
    "a trailer": (chunked("/films", b"Alien", trailer=b"Upgrade: h2c\r\n"), ("POST", "/films", b"Alien")),
    "no body": (f"GET /films HTTP/1.1\r\nHost: films\r\n{OFFER}\r\n".encode(), ("GET", "/films", b"")),
    "an empty body": (post("/films", b""), ("POST", "/films", b"")),
    "websocket": (
        post("/films", b"Alien", "Connection: upgrade\r\nUpgrade: websocket\r\n"),
        ("POST", "/films", b"Alien"),
    ),
    "two offers": (
        post("/films", b"Alien", "Connection: upgrade\r\nUpgrade: h2c\r\nUpgrade: TLS/1.0\r\n"),
        ("POST", "/films", b"Alien"),
    ),
}


@pytest.mark.parametrize("kind", REQUESTS)
async def test_a_request_with_an_offer_is_one_request_wherever_it_is_cut(connect, kind):
    data, asked = REQUESTS[kind]
    for cut in range(1, len(data) + 1):
        connection = connect()
        await connection.send(data[:cut], *([data[cut:]] if cut < len(data) else []))
        assert connection.echo.asked == [asked], cut
        assert connection.answers == [asked[1].encode() + b" " + asked[2]]


@pytest.mark.parametrize("kind", REQUESTS)
async def test_a_request_with_an_offer_may_come_byte_by_byte(connect, kind):
    data, asked = REQUESTS[kind]
    connection = connect()
    await connection.send(*(data[place : place + 1] for place in range(len(data))))
    assert connection.echo.asked == [asked]
    assert len(connection.answers) == 1


async def test_requests_that_are_sent_ahead_are_answered_in_order_with_and_without_offers(connect):
    plain = post("/plain", b"Heat", ""), ("POST", "/plain", b"Heat")
    order = [*REQUESTS.values(), plain, plain, *REQUESTS.values(), plain]
    data = b"".join(one for one, _ in order)
    for size in (len(data), 1000, 97, 13):
        connection = connect()
        await connection.send(*(data[start : start + size] for start in range(0, len(data), size)))
        await connection.turn(5 * len(order))
        assert connection.echo.asked == [asked for _, asked in order], size
        assert connection.answers == [asked[1].encode() + b" " + asked[2] for _, asked in order]


async def test_the_answer_waits_for_the_body(connect):
    connection = connect()
    data = post("/films", b"Alien")
    await connection.send(data[:-1])
    assert connection.transport.sent == b""
    await connection.send(data[-1:])
    assert connection.answers == [b"/films Alien"]


async def test_an_offer_does_not_keep_a_connection_that_is_to_be_closed(connect):
    for headers in ("Connection: close, Upgrade\r\nUpgrade: h2c\r\n", OFFER):
        connection = connect()
        await connection.send(post("/films", b"Alien", headers), post("/more", b"", ""))
        closed = "close" in headers
        assert connection.transport.closed == closed
        assert connection.answers == [b"/films Alien", *([] if closed else [b"/more "])]


@pytest.mark.parametrize(
    "data",
    [
        chunked("/films", b"Alien").replace(b"5\r\nAlien", b"x\r\nAlien"),
        post("/films", b"Alien").replace(b"Content-Length: 5", b"Content-Length: 5\r\nTransfer-Encoding: chunked"),
        f"CONNECT films:80 HTTP/1.1\r\nHost: films\r\n{OFFER}\r\n".encode(),
    ],
    ids=["a chunk without size", "two lengths", "connect"],
)
async def test_what_is_wrong_without_an_offer_is_wrong_with_one(connect, data):
    for sent in (data, data.replace(OFFER.encode(), b"")):
        connection = connect()
        await connection.send(sent)
        assert connection.transport.sent.startswith(b"HTTP/1.1 400 ")
        assert connection.transport.sent.count(b"HTTP/1.1 ") == 1
        assert connection.transport.closed
        assert connection.echo.asked == []


@pytest.fixture
def wire(numpy_models) -> Iterator[Wire]:
    wire = Wire(numpy_models.http_port)
    yield wire
    wire.socket.close()


def test_an_infer_request_with_an_offer_is_answered_with_its_own_tensors(wire):
    for number in range(5):
        data = request(struct.pack("<16i", *[number] * 16), SIXTEEN, headers=OFFER)
        head, answer = wire.ask(data)
        assert b" 200 " in head
        assert json.loads(answer)["outputs"][0]["data"] == [number + value for value in range(16)]


def test_a_model_is_loaded_with_the_override_that_came_with_an_offer(wire, numpy_models):
    numpy_models.server.loads.clear()
    body = json.dumps({"parameters": {"config": '{"max_batch_size": 2}'}}).encode()
    assert b" 200 " in wire.ask(post("/v2/repository/models/simple/load", body))[0]
    assert numpy_models.server.loads == [("simple", '{"max_batch_size": 2}', None)]
