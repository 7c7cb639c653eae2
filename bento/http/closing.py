"""Answers of a server that goes away: each asks its client to close the connection and to open the next elsewhere."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

_CLOSE = (b"connection", b"close")


class ClosingAnswers:
    """Adds `Connection: close` to every answer that begins while the server drains."""

    def __init__(self, app: ASGIApp, is_draining: Callable[[], bool]) -> None:
        """`is_draining` is called when an answer begins: a request may have come before the drain."""
        self._app = app
        self._is_draining = is_draining

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        def closing(message: Message) -> Awaitable[None]:  # not a coroutine of its own: every answer passes here twice
            if message["type"] == "http.response.start" and self._is_draining():
                message = {**message, "headers": [*message.get("headers", ()), _CLOSE]}
            return send(message)

        await self._app(scope, receive, closing if scope["type"] == "http" else send)
