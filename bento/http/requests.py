"""A request whose body is there: read whole, within a limit, before its handler begins."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator

import starlette.requests
from starlette.requests import ClientDisconnect
from starlette.types import Message, Receive, Scope

from bento.http.errors import BodyTooLarge

log = logging.getLogger("marquee.http")

DRAIN_LIMIT_S = 10.0
"""How long the rest of a body that is too large is read and thrown away, so that the client gets to read why."""


class Request(starlette.requests.Request):
    """Starlette's request over a body that was read already."""

    def __init__(self, scope: Scope, content: bytes = b"") -> None:
        super().__init__(scope)
        self.content = content

    async def body(self) -> bytes:
        """The whole body."""
        return self.content

    async def stream(self) -> AsyncGenerator[bytes, None]:
        """The whole body in one piece."""
        yield self.content


async def read_body(scope: Scope, receive: Receive, limit_bytes: int) -> bytes:
    """The whole body.

    Raises: BodyTooLarge, once the client has sent the rest or `DRAIN_LIMIT_S` have passed; ClientDisconnect.
    """
    message = await _next(receive)
    body: bytes = message.get("body", b"")
    if not message.get("more_body", False) and len(body) <= limit_bytes:
        return body  # nearly always: the body came with the headers
    chunks, size = [body], max(len(body), _announced_bytes(scope))
    if size <= limit_bytes:
        size = len(body)
    while message.get("more_body", False) and size <= limit_bytes:
        message = await _next(receive)
        chunks.append(message.get("body", b""))
        size += len(chunks[-1])
    if size > limit_bytes:
        chunks.clear()
        await _drain(receive, message)
        raise BodyTooLarge(limit_bytes, size)
    return b"".join(chunks)


async def _next(receive: Receive) -> Message:
    message = await receive()
    if message["type"] == "http.disconnect":
        raise ClientDisconnect
    return message


def _announced_bytes(scope: Scope) -> int:
    announced = dict(scope["headers"]).get(b"content-length", b"")
    return int(announced) if announced.isdigit() else 0


async def _drain(receive: Receive, message: Message) -> None:
    """Read and throw away: a client that is cut off while it sends never sees the answer."""
    try:
        async with asyncio.timeout(DRAIN_LIMIT_S):
            while message.get("more_body", False):
                message = await receive()
    except TimeoutError:
        log.info("a body that is too large was cut off")
