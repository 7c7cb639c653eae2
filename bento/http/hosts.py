"""Which names a service answers to, against DNS rebinding.

A page of another site may give its own name the address of this machine; for the browser the service is then part of
that site, and the page reads and sends what it likes. What it cannot change is the `Host` header, which names the site.
"""

from __future__ import annotations

from collections.abc import Sequence

from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bento.http.errors import UntrustedHost
from bento.http.responses import error_response, v2_error_response
from bento.http.root_path import route_path

ANY_HOST = "*"

LOCAL_HOSTS = ("localhost", "*.localhost", "127.0.0.1", "[::1]")
"""Names that no DNS server decides about: only this machine is reached by them."""

REMEMBERED_HOSTS = 1_000


class HostNames:
    """The names that are trusted. The check is Starlette's, made once for each value of the header."""

    def __init__(self, trusted: Sequence[str]) -> None:
        self._check = TrustedHostMiddleware(_accept, trusted, www_redirect=False)
        self._accepted: set[bytes] = set()

    def has_accepted(self, host: bytes | None) -> bool:
        """Whether a request with this `Host` was let in before, or would be for having none: no browser sends it."""
        return host is None or host in self._accepted

    async def accepts(self, scope: Scope, receive: Receive, host: bytes) -> bool:
        """Whether the request, whose header says `host`, is for a trusted name."""
        said: list[Message] = []

        async def note(message: Message) -> None:
            said.append(message)

        await self._check(scope, receive, note)
        if said:  # the middleware's own answer
            return False
        if len(self._accepted) >= REMEMBERED_HOSTS:
            self._accepted.clear()
        self._accepted.add(host)
        return True


class TrustedHosts:
    """Refuses requests for other names."""

    def __init__(self, app: ASGIApp, names: HostNames) -> None:
        self._app = app
        self._names = names

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        host = _host(scope)
        if host is None or self._names.has_accepted(host) or await self._names.accepts(scope, receive, host):
            await self._app(scope, receive, send)
        else:
            refuse = v2_error_response if route_path(scope).startswith("/v2") else error_response
            await refuse(UntrustedHost(host.decode("latin-1")))(scope, receive, send)


async def _accept(scope: Scope, receive: Receive, send: Send) -> None:
    """Stands where the application would: reached only by requests to trusted names."""


def _host(scope: Scope) -> bytes | None:
    if scope["type"] != "http":
        return None
    for name, value in scope["headers"]:
        if name == b"host":
            return bytes(value)
    return None
