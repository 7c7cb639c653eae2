"""When answers ask their clients to close the connection."""

from __future__ import annotations

from starlette.types import Receive, Scope, Send

from bento.http.closing import ClosingAnswers
from tests.http.asgi_calls import call


class Server:
    """Answers each request, and begins to drain while it works on one for /last."""

    is_draining = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.is_draining = self.is_draining or scope["path"] == "/last"
        await send({"type": "http.response.start", "status": 200, "headers": [(b"x-own", b"1")]})
        await send({"type": "http.response.body", "body": b"yes"})


async def test_answers_are_left_alone_before_the_drain() -> None:
    server = Server()
    answer = await call(ClosingAnswers(server, lambda: server.is_draining), "GET", "/")
    assert (answer.headers, answer.body) == ({b"x-own": b"1"}, b"yes")


async def test_an_answer_that_begins_during_the_drain_closes_its_connection() -> None:
    server = Server()
    answer = await call(ClosingAnswers(server, lambda: server.is_draining), "GET", "/last")
    assert (answer.headers, answer.body) == ({b"x-own": b"1", b"connection": b"close"}, b"yes")
