"""The door of the service: passes each request to whoever owns its path."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from bento.auth.permissions import METRICS

if TYPE_CHECKING:
    from bento.http.asgi import App, Receive, Scope, Send
    from bento.serving.worker import Worker

FRAMEWORK_PATHS = frozenset({"/livez", "/readyz", "/healthz", "/schema.json", "/docs.json"})
FRAMEWORK_FOLDER = "/static_content/"

FROM_ANOTHER_SITE = (b"sec-fetch-site", b"cross-site")
"""What a browser says of requests that a page of another site makes; programs send no such header."""


class FrontDoor:
    """BentoML keeps its probes, metrics and schema; all else is the worker's."""

    def __init__(self, framework: App, worker: Callable[[], Worker]) -> None:
        """`worker` is called per request: it is started after the door is made."""
        self._framework = framework
        self._worker = worker

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope.get("path", "")
        if scope["type"] == "http" and scope["method"] not in {"GET", "HEAD"} and FROM_ANOTHER_SITE in scope["headers"]:
            await _refuse(send)
        elif scope["type"] != "http" or path in FRAMEWORK_PATHS or path.startswith(FRAMEWORK_FOLDER):
            await self._framework(scope, receive, send)
        elif path == "/metrics":
            await self._worker().auth.guard(self._framework, lambda _: METRICS)(scope, receive, send)
        elif path.startswith("/v2/") or path == "/v2":
            await self._worker().v2(scope, receive, send)
        else:
            await self._worker().recommender(scope, receive, send)


async def _refuse(send: Send) -> None:
    # Here, because counters must not be imported before the worker has said where they are kept.
    from bento.http.asgi import refuse
    from bento.recommender.errors import FromAnotherSite

    await refuse(send, FromAnotherSite())
