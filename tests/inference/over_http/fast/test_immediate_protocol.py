"""A connection with immediate answers: when it is closed, and what it does when the server stops."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from typing import Any

import pytest
import uvicorn
from uvicorn.server import ServerState

from bento.inference.over_http.fast.immediate_answers import ImmediateAnswers
from bento.inference.over_http.fast.immediate_protocol import ImmediateProtocol
from bento.inference.protocol.front_end import FrontEndState
from bento.inference.protocol.v2_codec import decode_request
from tests.inference.http_wire import request
from tests.inference.numpy_server import NumpyServer


class Clock(asyncio.SelectorEventLoop):
    """A loop whose time a test sets, and whose timers the test rings."""

    def __init__(self) -> None:
        self.now_s = 1000.0
        self.timers: list[tuple[float, Any, Callable[..., Any], tuple[Any, ...]]] = []
        super().__init__()

    def time(self) -> float:
        return self.now_s

    def call_later(self, delay: float, callback: Any, *args: Any, context: Any = None) -> Any:
        handle = super().call_later(1e9, callback, *args)
        self.timers.append((self.now_s + delay, handle, callback, args))
        return handle

    def advance(self, seconds: float) -> None:
        """Ring what is due."""
        self.now_s += seconds
        due = [timer for timer in self.timers if timer[0] <= self.now_s]
        self.timers = [timer for timer in self.timers if timer[0] > self.now_s]
        for _, handle, callback, args in due:
            if not handle.cancelled():
                callback(*args)


class Transport:
    def __init__(self) -> None:
        self.sent = b""
        self.closed = False

    def write(self, data: bytes) -> None:
        self.sent += data

    def close(self) -> None:
        self.closed = True

    def is_closing(self) -> bool:
        return self.closed

    def get_extra_info(self, name: str) -> None:
        return None

    def pause_reading(self) -> None: ...
    def resume_reading(self) -> None: ...


@pytest.fixture
def clock():
    loop = Clock()
    yield loop
    for task in asyncio.all_tasks(loop):
        task.cancel()
    loop.run_until_complete(asyncio.sleep(0))
    loop.close()


@pytest.fixture
def state() -> FrontEndState:
    return FrontEndState()


@pytest.fixture
def connection(clock, state) -> tuple[ImmediateProtocol, Transport]:
    async def connect() -> tuple[ImmediateProtocol, Transport]:
        server = NumpyServer()
        config = uvicorn.Config(refused, access_log=False, timeout_keep_alive=5, log_config=None)
        config.load()
        immediate = ImmediateAnswers(server, state, 1 << 20)  # type: ignore[arg-type]
        protocol = ImmediateProtocol(config, ServerState(), {}, clock, immediate=immediate)
        transport = Transport()
        protocol.connection_made(transport)  # type: ignore[arg-type]
        return protocol, transport

    return clock.run_until_complete(connect())


async def refused(scope: Any, receive: Any, send: Any) -> None:
    """The application behind it: nothing that is asked for is there."""
    while (await receive()).get("more_body"):
        pass
    await send({"type": "http.response.start", "status": 404, "headers": [(b"content-length", b"0")]})
    await send({"type": "http.response.body"})


@pytest.fixture
def teach(clock, state, connection) -> Callable[[bytes], None]:
    """Has a request's head and its JSON cached, as if the application had read them."""
    protocol, _ = connection

    def teach_request(data: bytes) -> None:
        for _ in range(2):
            protocol.data_received(data)
            turn(clock)
        head, content = data.split(b"\r\n\r\n", 1)
        length = int(head.rsplit(b"Inference-Header-Content-Length: ", 1)[1].split(b"\r\n")[0])
        decoded = decode_request(content, length, "simple", "", state.regions)
        state.json_headers.remember(content, length, decoded)

    return teach_request


def turn(clock: Clock) -> None:
    async def wait() -> None:
        for _ in range(10):
            await asyncio.sleep(0)

    clock.run_until_complete(wait())


def test_a_connection_is_closed_only_after_its_last_answer_has_aged(clock, connection, teach):
    protocol, transport = connection
    data = request()
    teach(data)
    for _ in range(4):
        clock.advance(3)
        transport.sent = b""
        protocol.data_received(data)
        assert transport.sent.startswith(b"HTTP/1.1 200 OK\r\n")
    clock.advance(4)
    assert not transport.closed
    clock.advance(2)
    assert transport.closed


@pytest.fixture
def trusted() -> set[bytes | None]:
    """`Host` headers that the application has let in."""
    return {b"localhost"}


@pytest.mark.parametrize(("host", "is_cached"), [(b"localhost", True), (b"attacker.example", False)])
def test_only_requests_for_trusted_names_are_answered_without_the_application(clock, state, trusted, host, is_cached):
    async def connect() -> tuple[ImmediateProtocol, Transport]:
        config = uvicorn.Config(refused, access_log=False, log_config=None)
        config.load()
        immediate = ImmediateAnswers(NumpyServer(), state, 1 << 20)  # type: ignore[arg-type]
        protocol = ImmediateProtocol(config, ServerState(), {}, clock, immediate=immediate, trusts=trusted.__contains__)
        transport = Transport()
        protocol.connection_made(transport)  # type: ignore[arg-type]
        return protocol, transport

    protocol, transport = clock.run_until_complete(connect())
    data = re.sub(rb"(?im)^host: [^\r]*", b"Host: " + host, request())
    assert b"Host: " + host in data
    for _ in range(3):
        transport.sent = b""
        protocol.data_received(data)
        turn(clock)
        head, content = data.split(b"\r\n\r\n", 1)
        length = int(head.rsplit(b"Inference-Header-Content-Length: ", 1)[1].split(b"\r\n")[0])
        state.json_headers.remember(content, length, decode_request(content, length, "simple", "", state.regions))
    assert transport.sent.startswith(b"HTTP/1.1 200 OK\r\n") is is_cached


def test_what_the_server_puts_before_every_answer_stands_before_these_too(clock, connection, teach):
    protocol, transport = connection
    data = request()
    teach(data)
    protocol.data_received(data)
    plain = transport.sent[transport.sent.rindex(b"HTTP/1.1 ") :]
    protocol.server_state.default_headers = [(b"date", b"today"), (b"server", b"films")]
    transport.sent = b""
    protocol.data_received(data)
    status, rest = plain.split(b"\r\n", 1)
    assert transport.sent == status + b"\r\ndate: today\r\nserver: films\r\n" + rest


def test_a_connection_is_not_closed_while_a_body_is_on_its_way(clock, connection, teach):
    protocol, transport = connection
    data = request()
    teach(data)
    protocol.data_received(data)
    protocol.data_received(data[:-1])
    for _ in range(5):
        clock.advance(6)
    assert not transport.closed
    transport.sent = b""
    protocol.data_received(data[-1:])
    assert transport.sent.startswith(b"HTTP/1.1 200 OK\r\n")


def test_half_a_request_is_passed_on_when_the_server_stops(clock, connection, teach):
    protocol, transport = connection
    data = request()
    teach(data)
    transport.sent = b""
    protocol.data_received(data[:-1])
    protocol.shutdown()
    turn(clock)
    assert not transport.closed
    protocol.data_received(data[-1:])
    turn(clock)
    assert transport.sent.startswith(b"HTTP/1.1 404")
    assert transport.closed


def test_a_client_that_does_not_read_its_answers_is_left_to_uvicorn(clock, connection, teach):
    protocol, transport = connection
    data = request()
    teach(data)
    transport.sent = b""
    protocol.pause_writing()
    protocol.data_received(data)
    turn(clock)
    assert transport.sent == b""
    protocol.resume_writing()
    turn(clock)
    assert transport.sent.startswith(b"HTTP/1.1 404")


def test_a_request_behind_one_that_is_not_answered_yet_waits_for_it(clock, connection, teach):
    protocol, transport = connection
    data = request()
    teach(data)
    transport.sent = b""
    protocol.data_received(b"GET /first HTTP/1.1\r\nHost: films\r\n\r\n")
    protocol.data_received(data)
    assert transport.sent == b""
    turn(clock)
    assert transport.sent.count(b"HTTP/1.1 404") == 2
    transport.sent = b""
    protocol.data_received(data)
    assert transport.sent.startswith(b"HTTP/1.1 200 OK\r\n")
