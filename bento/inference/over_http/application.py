"""The v2 protocol over HTTP as a plain ASGI application: which path and method is answered by which endpoint.

Any ASGI server runs it and any ASGI application mounts it; paths start with /v2 either way. The table of routes is its
own: optional parts of a path, and versions that are numbers, are what the protocol says.
Statuses and texts are tritonserver 2.51's, with few differences on purpose: JSON that is malformed or of the wrong kind
is 400 instead of 500; a member that is null counts as absent; a body that cannot be decompressed, and a header length
that is no number, are 400 instead of being taken for empty; an empty body is JSON that is missing, not an empty raw
input, unless the header length says 0; a body over the limit is 413; a required input that is missing never reaches the
model; a model that does not give /generate exactly one answer is 400. A request with the header Inference-Timing gets
its times in Server-Timing.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Awaitable, Callable
from functools import lru_cache

from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Receive, Scope, Send

from bento.http.root_path import route_path
from bento.inference.core.errors import InferenceError
from bento.inference.over_http import endpoints
from bento.inference.over_http.body import UnsupportedCoding
from bento.inference.over_http.call import HttpCall, Reply
from bento.inference.over_http.generate import EventStream, generate, generate_stream
from bento.inference.over_http.infer import infer
from bento.inference.protocol.front_end import DEFAULT_MAX_BODY_BYTES, FrontEndState
from bento.inference.protocol.header_rules import NO_RESTRICTIONS, ForwardedHeaders, Restrictions
from bento.inference.server import InferenceServer

logger = logging.getLogger(__name__)

Endpoint = Callable[[HttpCall], Awaitable[Reply | EventStream]]

_MODEL = r"/v2/models/(?P<model>[^/]+)(?:/versions/(?P<version>[0-9]+))?"
_REGION = r"(?:/region/(?P<region>[^/]+))?"

ROUTES: tuple[tuple[re.Pattern[str], tuple[str, ...], Endpoint], ...] = tuple(
    (re.compile(pattern), tuple(methods.split()), endpoint)
    for pattern, methods, endpoint in (
        (rf"{_MODEL}/infer", "POST", infer),
        (rf"{_MODEL}/generate", "POST", generate),
        (rf"{_MODEL}/generate_stream", "POST", generate_stream),
        (r"/v2/models/stats", "GET", endpoints.model_statistics),
        (_MODEL, "GET", endpoints.model_metadata),
        (rf"{_MODEL}/ready", "GET", endpoints.model_ready),
        (rf"{_MODEL}/config", "GET", endpoints.model_config),
        (rf"{_MODEL}/stats", "GET", endpoints.model_statistics),
        (r"/v2", "GET", endpoints.server_metadata),
        (r"/v2/health/(?P<kind>live|ready)", "GET", endpoints.health),
        (r"/v2/repository(?:/[^/]+)?/index", "POST", endpoints.repository_index),
        (
            r"/v2/repository(?:/(?P<repository>[^/]+))?/models/(?P<model>[^/]+)/(?P<action>load|unload)",
            "POST",
            endpoints.repository_control,
        ),
        (rf"/v2/systemsharedmemory{_REGION}/(?P<action>status)", "GET", endpoints.system_shared_memory),
        (
            rf"/v2/systemsharedmemory{_REGION}/(?P<action>register|unregister)",
            "POST",
            endpoints.system_shared_memory,
        ),
        (rf"/v2/cudasharedmemory{_REGION}/(?P<action>status)", "GET", endpoints.cuda_shared_memory),
        (rf"/v2/cudasharedmemory{_REGION}/(?P<action>register|unregister)", "POST", endpoints.cuda_shared_memory),
        (r"/v2/logging", "GET POST", endpoints.logging_settings),
        (r"/v2/trace/setting", "GET POST", endpoints.trace_settings),
        (r"/v2/models/(?P<model>[^/]+)/trace/setting", "GET POST", endpoints.trace_settings),
    )
)

API_OF: dict[Endpoint, str] = {
    infer: "inference",
    generate: "inference",
    generate_stream: "inference",
    endpoints.server_metadata: "metadata",
    endpoints.model_metadata: "metadata",
    endpoints.health: "health",
    endpoints.model_ready: "health",
    endpoints.model_config: "model-config",
    endpoints.model_statistics: "statistics",
    endpoints.repository_index: "model-repository",
    endpoints.repository_control: "model-repository",
    endpoints.system_shared_memory: "shared-memory",
    endpoints.cuda_shared_memory: "shared-memory",
    endpoints.logging_settings: "logging",
    endpoints.trace_settings: "trace",
}
"""The group that an endpoint is restricted with."""


def make_http_app(
    server: InferenceServer,
    *,
    max_body_bytes: int = DEFAULT_MAX_BODY_BYTES,
    state: FrontEndState | None = None,
    restrictions: Restrictions = NO_RESTRICTIONS,
    forwarded_headers: ForwardedHeaders | None = None,
) -> ASGIApp:
    """An ASGI application that answers /v2 and everything below it.

    `state` is given where a gRPC front end of the same server shares registered memory and settings.
    """
    shared = state or FrontEndState()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            return await _lifespan(receive, send)
        if scope["type"] != "http":
            return await send({"type": "websocket.close", "code": 1000})
        reply = await _reply(server, shared, restrictions, forwarded_headers, scope, receive, max_body_bytes)
        if reply is not None:
            await reply(scope, receive, send)
        return None

    return app


async def _reply(
    server: InferenceServer,
    state: FrontEndState,
    restrictions: Restrictions,
    forwarded_headers: ForwardedHeaders | None,
    scope: Scope,
    receive: Receive,
    max_body_bytes: int,
) -> Reply | EventStream | None:
    """What to answer; None when the client is gone."""
    path, method = route_path(scope), scope["method"]
    if state.log_settings.log_verbose_level:
        logger.debug("HTTP request: %s %s", method, path)
    found = _route(path)
    if found is None:
        return Reply.of_error("Not Found", 404)
    methods, endpoint, fields = found
    if restrictions:
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        missing = restrictions.missing(API_OF[endpoint], headers)
        if missing is not None:
            return Reply.of_error(f"This API is restricted, expecting header '{missing}'", 403)
    if method not in methods:
        return Reply.of_error("Method Not Allowed", 405)
    try:
        return await endpoint(HttpCall(server, state, scope, receive, max_body_bytes, fields, forwarded_headers))
    except ClientDisconnect:
        return None
    except Exception as error:
        return failure(error, method, path)


def failure(error: Exception, method: str, path: str) -> Reply:
    """The answer to a request that failed. Called where the error is caught."""
    if isinstance(error, UnsupportedCoding):
        accepted = ((b"accept-encoding", b"gzip, deflate"),)
        return Reply(Reply.of_error(error, 501).body, error.http_status, headers=accepted)
    if isinstance(error, InferenceError):
        return Reply.of_error(error, error.http_status)
    # A bug of ours or of a backend's: the client gets an answer, the log gets the traceback.
    logger.exception("%s %s failed", method, path)
    return Reply.of_error("internal error, see the server's log", 500)


def infer_fields(path: str) -> dict[str, str] | None:
    """Model and version in the path of an infer request; None for any other path."""
    found = _route(path)
    return found[2] if found is not None and found[1] is infer else None


@lru_cache(maxsize=1024)
def _route(path: str) -> tuple[tuple[str, ...], Endpoint, dict[str, str]] | None:
    for pattern, methods, endpoint in ROUTES:
        match = pattern.fullmatch(path)
        if match is not None:
            return methods, endpoint, match.groupdict("")
    return None


async def _lifespan(receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return
