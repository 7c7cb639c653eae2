"""How uvicorn's HTTP connections are made: the ordinary way, or by `fast`, which is entered here and nowhere else.

Where the fast path is off (`ServerOptions.fast_path`), nothing of `fast` is imported. Where it is on but a part of
uvicorn that it leans on is missing, one log line says so, and the ordinary way serves.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import cache, partial
from typing import Any, cast

import structlog
import uvicorn.config

from bento.inference.core.options import ServerOptions
from bento.inference.over_http.ordinary_protocol import OrdinaryProtocol
from bento.inference.protocol.front_end import FrontEndState
from bento.inference.server import InferenceServer

log = structlog.get_logger()

Connections = Callable[..., asyncio.Protocol]
"""Makes the protocol of each connection from the arguments that uvicorn gives its own."""


Trusts = Callable[[bytes | None], bool]


def infer_connections(
    server: InferenceServer, state: FrontEndState, max_body_bytes: int, trusts: Trusts | None = None
) -> Connections:
    """Connections that answer infer requests of a repeated kind without ASGI, where the fast path is used.

    `trusts`: the `Host` headers, None for no header, that the application has let in; without it, it refuses none.
    """
    if not _is_used(server.options.fast_path):
        return OrdinaryProtocol
    from bento.inference.over_http.fast.immediate_answers import ImmediateAnswers
    from bento.inference.over_http.fast.immediate_protocol import ImmediateProtocol

    immediate = ImmediateAnswers(server, state, max_body_bytes)
    return partial(ImmediateProtocol, immediate=immediate, trusts=trusts)


def plain_connections(options: ServerOptions) -> Connections:
    """Connections that leave every request to ASGI; they write head and body together where the fast path is used."""
    if not _is_used(options.fast_path):
        return OrdinaryProtocol
    from bento.inference.over_http.fast.joined_writes import JoinedWritesProtocol

    return JoinedWritesProtocol


def use_in_uvicorn(connections: Callable[[], Connections]) -> None:
    """Have a uvicorn that others start in this process make its connections by `connections`, called for each one.

    BentoML starts uvicorn itself, without a way to say which protocol. uvicorn looks the class for its default, "auto",
    up in a public table, and there ours stands when BentoML asks: the worker makes its ASGI application first.
    """

    def connection(**uvicorns: Any) -> asyncio.Protocol:
        return connections()(**uvicorns)

    table = cast("dict[str, Any]", uvicorn.config.HTTP_PROTOCOLS)  # names of classes, or what makes them
    table["auto"] = connection


def _is_used(switched_on: bool) -> bool:
    return switched_on and is_possible()


@cache
def is_possible() -> bool:
    """Whether all that the fast path leans on is there. Checked once; what is missing is logged."""
    from bento.inference.over_http.fast.requirements import PROVEN_ON, installed, missing_parts

    missing = missing_parts()
    if missing:
        log.warning("fast path is off: parts are missing", missing=missing, installed=installed(), proven_on=PROVEN_ON)
    return not missing
