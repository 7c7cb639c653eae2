"""One HTTP call as the endpoints see it, and the reply they give."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import orjson
from starlette.responses import Response
from starlette.types import Receive, Scope

from bento.inference.core.errors import InferenceError
from bento.inference.over_http.body import read_body
from bento.inference.protocol.front_end import FrontEndState
from bento.inference.protocol.header_rules import ForwardedHeaders
from bento.inference.protocol.json_fields import JsonObject, parse_json_object
from bento.inference.server import InferenceServer

JSON, OCTETS, TEXT = b"application/json", b"application/octet-stream", b"text/plain"


class Reply(Response):
    """Starlette's response, with its headers as they go on the wire: infer is answered many thousand times a second."""

    def __init__(
        self,
        body: bytes = b"",
        status: int = 200,
        content_type: bytes = JSON,
        headers: tuple[tuple[bytes, bytes], ...] = (),
    ) -> None:
        self.body: bytes = body
        self.status_code = status
        self.background = None
        self.raw_headers = [(b"content-type", content_type), (b"content-length", b"%d" % len(body)), *headers]

    @classmethod
    def of_json(cls, value: Any) -> Reply:
        """A JSON body."""
        return cls(orjson.dumps(value))

    @classmethod
    def of_error(cls, error: InferenceError | str, status: int) -> Reply:
        """{"error": text}."""
        return cls(orjson.dumps({"error": str(error)}), status)


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
        return await read_body(self.scope, self.receive, self.headers, self.max_body_bytes)

    async def json_object(self) -> JsonObject:
        """The body as a JSON object, {} when it is empty. Raises: as `read_body`; MalformedJson."""
        return parse_json_object(await self.body())
