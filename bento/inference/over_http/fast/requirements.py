"""What the fast path uses of uvicorn and httptools beyond their documented interfaces, and whether it is there."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

PROVEN_ON = {"uvicorn": "0.54.0", "httptools": "0.9.0"}
"""The versions with which the tests of the fast path pass. Others are used where no part is missing."""

PROTOCOL_METHODS = (
    "connection_made", "data_received", "on_message_begin", "on_headers_complete", "on_message_complete",
    "on_response_complete", "timeout_keep_alive_handler", "shutdown",
)  # fmt: skip
ASSIGNED = {
    "HttpToolsProtocol": (
        "access_log", "access_logger", "cycle", "flow", "headers", "limit_concurrency", "loop", "parser", "scope",
        "server_state", "timeout_keep_alive", "timeout_keep_alive_task", "transport",
    ),
    "RequestResponseCycle": ("keep_alive", "response_complete"),
    "ServerState": ("default_headers", "total_requests"),
}  # fmt: skip
"""Attributes by class. They are looked for among the names that its constructor uses: no connection is needed."""


def installed() -> dict[str, str]:
    """The versions that are installed here."""
    return {name: version(name) for name in PROVEN_ON}


def missing_parts() -> list[str]:
    """Names of the parts that this installation lacks; empty = the fast path can be used."""
    try:
        import httptools
        import uvicorn.server
        from uvicorn.protocols.http import httptools_impl
    except ImportError as error:
        return [str(error)]
    holders: list[tuple[Any, str]] = [
        (httptools, "HttpRequestParser"),
        (httptools_impl, "HttpToolsProtocol"),
        (httptools_impl, "RequestResponseCycle"),
        (httptools_impl, "STATUS_LINE"),
        (uvicorn.server, "ServerState"),
    ]
    missing = [f"{holder.__name__}.{name}" for holder, name in holders if not hasattr(holder, name)]
    if missing:
        return missing
    protocol = httptools_impl.HttpToolsProtocol
    missing = [f"HttpToolsProtocol.{name}" for name in PROTOCOL_METHODS if not callable(getattr(protocol, name, None))]
    for owner in (protocol, httptools_impl.RequestResponseCycle, uvicorn.server.ServerState):
        used = owner.__init__.__code__.co_names
        missing += [f"{owner.__name__}.{name}" for name in ASSIGNED[owner.__name__] if name not in used]
    return missing
