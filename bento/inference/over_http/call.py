"""One HTTP call as the endpoints see it, and the reply they give."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import orjson

from bento.inference.core.errors import InferenceError
from bento.inference.over_http.body import Receive, read_body
from bento.inference.protocol.front_end import FrontEndState
from bento.inference.protocol.header_rules import ForwardedHeaders
from bento.inference.protocol.json_fields import JsonObject, parse_json_object
from bento.inference.server import InferenceServer

Headers = list[tuple[bytes, bytes]]
Scope = dict[str, Any]
Send = Callable[[dict[str, Any]], Awaitable[None]]

JSON, OCTETS, TEXT = b"application/json", b"application/octet-stream", b"text/plain"


@dataclass(slots=True)
class Reply:
    """Status, body and headers of an answer."""

    body: bytes = b""
    status: int = 200
    content_type: bytes = JSON
    headers: tuple[tuple[bytes, bytes], ...] = ()

    @classmethod
    def of_json(cls, value: Any) -> Reply:
        """A JSON body."""
        return cls(orjson.dumps(value))

    @classmethod
    def of_error(cls, error: InferenceError | str, status: int) -> Reply:
        """{"error": text}."""
        return cls(orjson.dumps({"error": str(error)}), status)

    async def send(self, send: Send) -> None:
        """Put it on the wire."""
        headers = [
            (b"content-type", self.content_type),
            (b"content-length", b"%d" % len(self.body)),
            *self.headers,
        ]
        await send({"type": "http.response.start", "status": self.status, "headers": headers})
        await send({"type": "http.response.body", "body": self.body})


@dataclass
class HttpCall:
    """What a client called: the server, and the method, path and body."""

    server: InferenceServer
    state: FrontEndState
    scope: Scope
    receive: Receive
    max_body_bytes: int
    path_fields: dict[str, str]
    """Named parts of the path; "" where absent."""
    forwarded_headers: ForwardedHeaders | None = None

    @property
    def method(self) -> str:
        """GET, POST, …"""
        return str(self.scope["method"])

    @cached_property
    def headers(self) -> dict[bytes, bytes]:
        """By lower-case name; the last of several wins."""
        return dict(self.scope["headers"])

    async def body(self) -> bytes:
        """The body, decompressed. Raises: as `read_body`."""
        return await read_body(self.receive, self.headers, self.max_body_bytes)

    async def json_object(self) -> JsonObject:
        """The body as a JSON object, {} when it is empty. Raises: as `read_body`; MalformedJson."""
        return parse_json_object(await self.body())
