"""The ASGI application over a table of routes: route, caller, body, handler, answer, metrics."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from typing import Any, Protocol

from starlette.authentication import UnauthenticatedUser
from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from bento.http.errors import HttpError, UnknownRoute
from bento.http.requests import Request, read_body
from bento.http.responses import error_response
from bento.http.routing import Route, Router

log = logging.getLogger("marquee.http")

NOBODY = UnauthenticatedUser()
"""`request.user` where no guard asks who is calling."""


class Guard(Protocol):
    """Decides who may use a route. Raises HttpError where somebody may not."""

    async def admit(self, route: Route, headers: Mapping[str, str]) -> Any:
        """Who is calling, as `request.user` has it; asked before the body is read."""

    def check(self, request: Request) -> None:
        """Whether the caller may ask for what path, query and body name."""


class AnswerMetrics(Protocol):
    """Counts and times answers."""

    def observe_answer(self, route: str, status: int, elapsed_s: float) -> None:
        """Note one answered request."""


class Application:
    """Answers what the router knows."""

    def __init__(self, router: Router, metrics: AnswerMetrics, max_body_bytes: int, guard: Guard | None = None) -> None:
        """`guard`: None lets everybody do everything."""
        self._router = router
        self._guard = guard
        self._metrics = metrics
        self._max_body_bytes = max_body_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one HTTP request; a path that nobody serves is answered with an error in our shape."""
        started_s = time.perf_counter()
        route_name = "unknown"
        try:
            path, raw_path = scope["path"], scope.get("raw_path", b"")
            if root_path := scope.get("root_path"):
                path, raw_path = path.removeprefix(root_path), raw_path.removeprefix(root_path.encode())
            found = self._router.find(scope["method"], path, raw_path)
            if found is None:
                raise UnknownRoute(scope["path"])
            route, scope["path_params"] = found
            route_name = route.name
            response = await self._answer(route, scope, receive)
        except HttpError as error:
            response = error_response(error)
        except ClientDisconnect:
            return
        except Exception:  # the last line of defence: a bug answers 500 in the same shape as every error
            log.exception("%s failed", route_name)
            response = error_response(HttpError("internal error; the server's log says more"))
        await response(scope, receive, send)
        self._metrics.observe_answer(route_name, response.status_code, time.perf_counter() - started_s)

    async def _answer(self, route: Route, scope: Scope, receive: Receive) -> Response:
        scope["user"] = NOBODY
        if self._guard is not None:
            scope["user"] = await self._guard.admit(route, Headers(scope=scope))
        limit_bytes = self._max_body_bytes if route.max_body_bytes is None else route.max_body_bytes
        request = Request(scope, b"" if route.method == "GET" else await read_body(scope, receive, limit_bytes))
        if self._guard is not None:
            self._guard.check(request)
        return await route.handler(request)
