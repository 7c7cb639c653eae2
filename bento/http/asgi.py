"""The raw ASGI layer under the hot routes: a dictionary look-up, the body, one answer.

No framework stands between a request and its handler.
"""

from __future__ import annotations

import asyncio
import logging
import re
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, unquote

from bento.auth.callers import ANYBODY, Caller
from bento.auth.gate import Gate, check_person
from bento.auth.permissions import of_route
from bento.recommender.errors import BodyTooLarge, RecommenderError, UnknownRoute, WrongMethod
from bento.recommender.telemetry.metrics import Metrics

log = logging.getLogger("marquee.http")

Scope = dict[str, Any]
Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
"""An ASGI application."""

JSON = b"application/json"

DRAIN_LIMIT_S = 10.0
"""How long the rest of a body that is too large is read and thrown away, so that the client gets to read why."""


@dataclass(frozen=True, slots=True)
class Request:
    """One request as a handler sees it."""

    path_values: dict[str, str]
    query: dict[str, str]
    headers: dict[bytes, bytes]
    body: bytes
    caller: Caller = ANYBODY
    address: str = ""
    """Where the request comes from; the proxy's, behind one."""


@dataclass(frozen=True, slots=True)
class Response:
    """What a handler answers."""

    body: bytes
    status: int = 200
    content_type: bytes = JSON
    headers: tuple[tuple[bytes, bytes], ...] = ()


Handler = Callable[[Request], Awaitable[Response]]


@dataclass(frozen=True)
class About:
    """What the documentation says of a route. Types are the msgspec Structs that requests are read with."""

    summary: str
    tag: str
    request: type | None = None
    request_type: str = "application/json"
    """A form, perhaps; a picture has no `request`."""
    query: type | None = None
    answer: Any = None
    """None: the answer is no JSON, see `content_types`."""
    content_types: tuple[str, ...] = ()
    status: int = 200
    errors: tuple[int, ...] = ()
    headers: tuple[str, ...] = ()
    """Request headers that mean something here."""
    example: dict[str, Any] = field(default_factory=dict)
    """Of the body, or of the parameters by name; it runs on the embedded sample."""

    def types(self) -> tuple[Any, ...]:
        """All types that the route names."""
        return tuple(kind for kind in (self.request, self.query, self.answer) if kind is not None)


@dataclass
class Route:
    """One method and path; `{name}` in the path stands for one segment."""

    method: str
    path: str
    handler: Handler
    about: About | None = None
    max_body_bytes: int | None = None
    """Where it is not that of most routes."""

    @property
    def pattern(self) -> re.Pattern[str]:
        """Matches exactly the paths of this route."""
        parts = re.split(r"\{(\w+)\}", self.path)
        return re.compile("".join(f"(?P<{p}>[^/]+)" if i % 2 else re.escape(p) for i, p in enumerate(parts)))


@dataclass
class Router:
    """Finds the route of a request: plain paths in one look-up, paths with values by their pattern."""

    routes: list[Route]
    _plain: dict[str, dict[str, Route]] = field(default_factory=dict)
    _patterns: list[tuple[re.Pattern[str], Route]] = field(default_factory=list)

    def __post_init__(self) -> None:
        for route in self.routes:
            if "{" in route.path:
                self._patterns.append((route.pattern, route))
            else:
                self._plain.setdefault(route.path, {})[route.method] = route

    def find(self, method: str, path: str, raw_path: bytes = b"") -> tuple[Route, dict[str, str]] | None:
        """The route and its path values, or None when the path is not ours.

        `raw_path`: as it was sent. A value that holds a slash, written %2F, is told from two segments by it alone.
        HEAD is answered as GET (the server leaves the body out). Raises: WrongMethod.
        """
        method = "GET" if method == "HEAD" else method
        by_method = self._plain.get(path)
        if by_method is not None:
            if method not in by_method:
                raise WrongMethod(method, by_method)
            return by_method[method], {}
        has_slash = b"%2f" in raw_path.lower()
        matched = raw_path.partition(b"?")[0].decode("latin-1") if has_slash else path
        matches = [
            (route, match.groupdict()) for pattern, route in self._patterns if (match := pattern.fullmatch(matched))
        ]
        if has_slash:
            matches = [(route, {name: unquote(part) for name, part in values.items()}) for route, values in matches]
        for route, values in matches:
            if route.method == method:
                return route, values
        if matches:
            raise WrongMethod(method, {route.method for route, _ in matches})
        return None


class HotRoutes:
    """Answers what the router knows."""

    def __init__(self, router: Router, metrics: Metrics, max_body_bytes: int, gate: Gate | None = None) -> None:
        """`gate`: None lets everybody do everything."""
        self._router = router
        self._gate = gate
        self._metrics = metrics
        self._max_body_bytes = max_body_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one HTTP request; a path that nobody serves is answered with an error in our shape."""
        started_s = time.perf_counter()
        route_name = "unknown"
        try:
            found = self._router.find(scope["method"], scope["path"], scope.get("raw_path", b""))
            if found is None:
                raise UnknownRoute(scope["path"])
            route, path_values = found
            route_name = f"{route.method} {route.path}"
            response = await self._answer(route, path_values, scope, receive)
        except RecommenderError as error:
            response = _error_response(error)
        except ClientLeft:
            return
        except Exception:  # the last line of defence: a bug answers 500 in the same shape as every error
            log.exception("%s failed", route_name)
            response = _error_response(RecommenderError("internal error; the server's log says more"))
        await _send(send, response)
        self._metrics.observe_answer(route_name, response.status, time.perf_counter() - started_s)

    async def _answer(self, route: Route, path_values: dict[str, str], scope: Scope, receive: Receive) -> Response:
        headers = dict(scope["headers"])
        query_string = scope["query_string"]
        query = dict(parse_qsl(query_string.decode("latin-1"), keep_blank_values=True)) if query_string else {}
        caller = ANYBODY
        if self._gate is not None:
            caller = await self._gate.admit(of_route(route.method, route.path), headers)
        limit_bytes = self._max_body_bytes if route.max_body_bytes is None else route.max_body_bytes
        body = b"" if route.method == "GET" else await read_body(receive, headers, limit_bytes)
        check_person(caller, path_values, query, body)
        address = (scope.get("client") or ("",))[0]
        return await route.handler(Request(path_values, query, headers, body, caller, address))


class ClientLeft(Exception):
    """The client closed the connection before its request was complete."""


async def read_body(receive: Receive, headers: dict[bytes, bytes], limit_bytes: int) -> bytes:
    """The whole body.

    Raises: BodyTooLarge, once the client has sent the rest or `DRAIN_LIMIT_S` have passed; ClientLeft.
    """
    message = await receive()
    if message["type"] == "http.disconnect":
        raise ClientLeft
    body: bytes = message.get("body", b"")
    if not message.get("more_body", False) and len(body) <= limit_bytes:
        return body  # nearly always: the body came with the headers
    announced = headers.get(b"content-length", b"0")
    chunks, size = [body], len(body)
    if announced.isdigit() and int(announced) > limit_bytes:
        size = limit_bytes + 1
    while message.get("more_body", False) and size <= limit_bytes:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientLeft
        chunks.append(message.get("body", b""))
        size += len(chunks[-1])
    if size > limit_bytes:
        chunks.clear()
        await _drain(receive, message)
        raise BodyTooLarge(limit_bytes)
    return b"".join(chunks)


async def _drain(receive: Receive, message: Message) -> None:
    """Read and throw away: a client that is cut off while it sends never sees the answer."""
    try:
        async with asyncio.timeout(DRAIN_LIMIT_S):
            while message.get("more_body", False):
                message = await receive()
    except TimeoutError:
        log.info("a body that is too large was cut off")


async def refuse(send: Send, error: RecommenderError) -> None:
    """Answer with an error before any route was looked for."""
    await _send(send, _error_response(error))


def _error_response(error: RecommenderError) -> Response:
    return Response(error.body(), error.http_status, headers=error.headers())


async def _send(send: Send, response: Response) -> None:
    headers = [
        (b"content-type", response.content_type),
        (b"content-length", str(len(response.body)).encode()),
        *response.headers,
    ]
    await send({"type": "http.response.start", "status": response.status, "headers": headers})
    await send({"type": "http.response.body", "body": response.body})
