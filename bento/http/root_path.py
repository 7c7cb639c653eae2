"""A service behind a prefix: requests come with it or without, inside every path has it, as ASGI wants.

Proxies differ: some forward `/films/docs` as it came, some take the prefix off first. Both are served alike, so a
prefix must not begin like a route of the service.
"""

from __future__ import annotations

from starlette.responses import RedirectResponse
from starlette.types import ASGIApp, Receive, Scope, Send


def route_path(scope: Scope) -> str:
    """The path as routes know it: without the prefix."""
    path: str = scope["path"]
    return path.removeprefix(scope.get("root_path", ""))


class RootPath:
    """Gives every request its prefix. The prefix alone is the page's address without its slash, and leads there."""

    def __init__(self, app: ASGIApp, root_path: str) -> None:
        """`root_path` begins with a slash and does not end with one."""
        self._app = app
        self._root_path = root_path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
        elif scope["path"] == self._root_path and scope["method"] in {"GET", "HEAD"}:
            query = scope["query_string"].decode("latin-1")
            page = f"{self._root_path}/{'?' * bool(query)}{query}"
            await RedirectResponse(page, 308)(scope, receive, send)
        else:
            await self._app(self._prefixed(scope), receive, send)

    def _prefixed(self, scope: Scope) -> Scope:
        scope = dict(scope) | {"root_path": self._root_path}
        if not scope["path"].startswith(f"{self._root_path}/"):
            scope["path"] = self._root_path + scope["path"]
            scope["raw_path"] = self._root_path.encode() + scope.get("raw_path", b"")
        return scope
