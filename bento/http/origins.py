"""Which pages may have their readers' browsers ask: the service's own, and those of allowed origins.

Programs are not concerned: no browser speaks for them. The answers that allow something (CORS) are Starlette's.
"""

from __future__ import annotations

from collections.abc import Sequence

from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

from bento.http.errors import CrossSite
from bento.http.responses import error_response

FROM_ANOTHER_SITE = (b"sec-fetch-site", b"cross-site")
"""What a browser says of requests that a page of another site makes."""

METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE")
EVERY_ORIGIN = "*"


def checking_origins(app: ASGIApp, allowed: Sequence[str]) -> ASGIApp:
    """The application, closed to what pages of other sites send, but for pages of the `allowed` origins."""
    refusing = RefuseCrossSite(app, allowed)
    if not allowed:
        return refusing
    # Tokens travel in headers, not in cookies, so no credentials are allowed, and every header may be sent and read.
    return CORSMiddleware(
        refusing,
        allow_origins=allowed,
        allow_methods=METHODS,
        allow_headers=("*",),
        expose_headers=("*",),
        allow_private_network=True,
    )


class RefuseCrossSite:
    """Refuses what would change something; links and pictures on other sites work."""

    def __init__(self, app: ASGIApp, allowed: Sequence[str]) -> None:
        self._app = app
        self._allowed = frozenset(allowed)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and FROM_ANOTHER_SITE in scope["headers"] and not self._may_send(scope):
            await error_response(CrossSite())(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    def _may_send(self, scope: Scope) -> bool:
        if scope["method"] in {"GET", "HEAD"} or EVERY_ORIGIN in self._allowed:
            return True
        return Headers(scope=scope).get("origin") in self._allowed
