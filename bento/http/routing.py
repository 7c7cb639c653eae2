"""Which handler answers which method and path, and what the documentation says of it.

Handlers take and give Starlette's requests and responses. The look-up is a dictionary's, as Starlette's own router
tries the pattern of one route after the other: docs/benchmarks.md has the figures.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

from starlette.requests import Request
from starlette.responses import Response

from bento.http.errors import WrongMethod

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
    """One method and path; `{name}` in the path stands for one segment, but not for the first."""

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

    @property
    def name(self) -> str:
        """As metrics and the access table know it: `GET /movie/{movie_id}`."""
        return f"{self.method} {self.path}"


@dataclass
class Router:
    """Finds the route of a request: plain paths in one look-up, paths with values by their pattern."""

    routes: list[Route]
    _plain: dict[str, dict[str, Route]] = field(default_factory=dict)
    _patterns: dict[str, list[tuple[re.Pattern[str], Route]]] = field(default_factory=dict)
    """By the first segment, so that few are tried."""

    def __post_init__(self) -> None:
        for route in self.routes:
            if "{" in route.path:
                self._patterns.setdefault(_first_segment(route.path), []).append((route.pattern, route))
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
        allowed = set()
        for route, values in self._matches(path, raw_path):
            if route.method == method:
                return route, values
            allowed.add(route.method)
        if allowed:
            raise WrongMethod(method, allowed)
        return None

    def _matches(self, path: str, raw_path: bytes) -> Iterator[tuple[Route, dict[str, str]]]:
        """Routes whose pattern the path has, in their order."""
        has_slash = b"%2f" in raw_path.lower()
        if has_slash:
            path = raw_path.partition(b"?")[0].decode("latin-1")
        for pattern, route in self._patterns.get(_first_segment(path), ()):
            match = pattern.fullmatch(path)
            if match is not None:
                values = match.groupdict()
                yield route, {name: unquote(part) for name, part in values.items()} if has_slash else values


def _first_segment(path: str) -> str:
    return path[1:].partition("/")[0]
