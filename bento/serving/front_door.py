"""The door of the service: passes each request to whoever owns its path."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from bento.auth.permissions import METRICS, ROUTES
from bento.auth.setup import is_loopback
from bento.http.hosts import ANY_HOST, LOCAL_HOSTS, HostNames, TrustedHosts
from bento.http.origins import checking_origins
from bento.http.root_path import RootPath, route_path
from bento.settings import Settings, WrongSetting

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

    from bento.serving.worker import Worker

FRAMEWORK_PATHS = frozenset({"/livez", "/readyz", "/healthz", "/schema.json", "/docs.json"})
FRAMEWORK_FOLDER = "/static_content/"


class FrontDoor:
    """BentoML keeps its probes, metrics and schema; all else is the worker's."""

    def __init__(self, framework: ASGIApp, worker: Callable[[], Worker]) -> None:
        """`worker` is called per request: it is started after the door is made."""
        self._framework = framework
        self._worker = worker

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = route_path(scope) if scope["type"] == "http" else ""
        if scope["type"] != "http" or path in FRAMEWORK_PATHS or path.startswith(FRAMEWORK_FOLDER):
            await self._framework(scope, receive, send)
        elif path == "/metrics":
            await self._worker().auth.guard(self._framework, lambda _: METRICS)(scope, receive, send)
        elif path.startswith("/v2/") or path == "/v2":
            await self._worker().v2(scope, receive, send)
        else:
            await self._worker().recommender(scope, receive, send)


def make_entrance(door: ASGIApp, settings: Settings, names: HostNames | None) -> ASGIApp:
    """The way to the door: name, then origin, then prefix. What is refused is refused before anything is looked up."""
    app = RootPath(door, settings.root_path) if settings.root_path else door
    app = checking_origins(app, settings.allowed_origins)
    return app if names is None else TrustedHosts(app, names)


def host_names(settings: Settings) -> HostNames | None:
    """The names to check requests for; None where the service answers to every name."""
    names = trusted_hosts(settings)
    return None if ANY_HOST in names else HostNames(names)


def trusted_hosts(settings: Settings) -> tuple[str, ...]:
    """Names that the service answers to.

    Where nothing is set: on a loopback address without authentication, local names. There everybody who gets through
    may do everything, and a page that gave its name this machine's address would get through. With authentication such
    a page has no token, and on other addresses no name can be known to be right.
    """
    if settings.trusted_hosts:
        return settings.trusted_hosts
    if settings.auth == "off" and is_loopback(settings.host):
        own = f"[{settings.host}]" if ":" in settings.host else settings.host
        return tuple(dict.fromkeys((*LOCAL_HOSTS, own)))
    return (ANY_HOST,)


def check_root_path(root_path: str) -> None:
    """A prefix that begins like a route could not be told from it. Raises: WrongSetting."""
    served = {path.split("/")[1] for path in (*FRAMEWORK_PATHS, FRAMEWORK_FOLDER, "/metrics", "/v2")}
    served |= {route.partition(" ")[2].split("/")[1] for route in ROUTES}
    if root_path and root_path.split("/")[1] in served:
        others = ", ".join(sorted(served - {""}))
        raise WrongSetting("ROOT_PATH", root_path, f"a prefix that begins like no route of the service: {others}")
