"""A uvicorn that is started as BentoML starts it, without a word on the protocol, answers at once too."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from types import SimpleNamespace
from typing import Any

import pytest
import uvicorn
import uvicorn.config

from bento.inference.over_http.application import make_http_app
from bento.inference.over_http.fast.immediate_answers import AtOnce
from bento.inference.protocol.front_end import FrontEndState
from bento.serving.connections import use_own_connections
from tests.inference.http_wire import Wire, request
from tests.inference.numpy_server import NumpyServer


class Counting(AtOnce):
    """Counts what it answers."""

    answered = 0

    def answer(self, *asked: Any) -> bytes | None:
        given = super().answer(*asked)
        self.answered += given is not None
        return given


@contextmanager
def worker(app: Any) -> Iterator[Wire]:
    """A connection to a uvicorn on a loop of its own."""
    config = uvicorn.Config(app, "127.0.0.1", 0, log_config=None, server_header=False)
    server = uvicorn.Server(config)
    server.capture_signals = nullcontext  # type: ignore[method-assign]
    started, startup = threading.Event(), server.startup

    async def start(**how: Any) -> None:
        await startup(**how)
        started.set()

    server.startup = start  # type: ignore[method-assign]
    thread = threading.Thread(target=asyncio.run, args=(server.serve(),))
    thread.start()
    assert started.wait(20)
    wire = Wire(server.servers[0].sockets[0].getsockname()[1])
    try:
        yield wire
    finally:
        wire.socket.close()
        server.should_exit = True
        thread.join(20)


@pytest.mark.parametrize("gate", [False, True])
def test_requests_are_answered_at_once_unless_they_must_pass_a_gate(gate: bool, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(uvicorn.config, "HTTP_PROTOCOLS", dict(uvicorn.config.HTTP_PROTOCOLS))
    models: Any = NumpyServer()
    state = FrontEndState()
    at_once = Counting(models, state, 1 << 20)
    instance = SimpleNamespace(at_once=None if gate else at_once)
    use_own_connections(lambda: instance)  # type: ignore[arg-type,return-value]
    with worker(make_http_app(models, state=state)) as wire:
        answers = [without_date(wire.ask(request())) for _ in range(5)]
    assert answers[1:] == answers[:1] * 4
    assert at_once.answered == (0 if gate else 3)


def without_date(answer: tuple[bytes, bytes]) -> list[bytes]:
    head, data = answer
    status, date, *others = head.split(b"\r\n")
    assert date.startswith(b"date: ")
    return [status, *others, data]
