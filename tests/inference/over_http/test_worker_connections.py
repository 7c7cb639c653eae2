"""A uvicorn that is started as BentoML starts it, without a word on the protocol, answers at once too."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
import uvicorn
import uvicorn.config

from bento.inference.over_http.application import make_http_app
from bento.inference.over_http.connections import use_in_uvicorn
from bento.inference.over_http.fast.immediate_answers import ImmediateAnswers
from bento.inference.over_http.fast.immediate_protocol import ImmediateProtocol
from bento.inference.over_http.fast.joined_writes import JoinedWritesProtocol
from bento.inference.protocol.front_end import FrontEndState
from tests.inference.http_wire import request
from tests.inference.numpy_server import NumpyServer
from tests.inference.over_http.uvicorn_worker import worker


class Counting(ImmediateAnswers):
    """Counts what it answers."""

    answered = 0

    def answer(self, *asked: Any) -> bytes | None:
        given = super().answer(*asked)
        self.answered += given is not None
        return given


@pytest.mark.parametrize("gate", [False, True])
def test_requests_are_answered_immediately_unless_they_must_pass_a_gate(gate: bool, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(uvicorn.config, "HTTP_PROTOCOLS", dict(uvicorn.config.HTTP_PROTOCOLS))
    models: Any = NumpyServer()
    state = FrontEndState()
    immediate = Counting(models, state, 1 << 20)
    use_in_uvicorn(lambda: JoinedWritesProtocol if gate else partial(ImmediateProtocol, immediate=immediate))
    with worker(make_http_app(models, state=state)) as wire:
        answers = [without_date(wire.ask(request())) for _ in range(5)]
    assert answers[1:] == answers[:1] * 4
    assert immediate.answered == (0 if gate else 3)


def without_date(answer: tuple[bytes, bytes]) -> list[bytes]:
    head, data = answer
    status, date, *others = head.split(b"\r\n")
    assert date.startswith(b"date: ")
    return [status, *others, data]
