"""How the HTTP connections of a BentoML worker are answered: ours instead of uvicorn's own protocol.

BentoML starts uvicorn itself, without a way to say which protocol. uvicorn looks the class for its default, "auto", up
in a public table, and there ours stands when BentoML asks: the worker makes the service's ASGI application first.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

import uvicorn.config

from bento.inference.over_http.fast.immediate_protocol import AtOnceProtocol
from bento.inference.over_http.fast.joined_writes import JoinedWritesProtocol

if TYPE_CHECKING:
    import asyncio

    from bento.serving.worker import Worker


def use_own_connections(worker: Callable[[], Worker]) -> None:
    """Have the uvicorn that this process is about to start make its connections here.

    `worker` is called per connection: it is started after uvicorn is, and before the first connection.
    """

    def connection(**uvicorns: Any) -> asyncio.Protocol:
        at_once = worker().at_once
        return JoinedWritesProtocol(**uvicorns) if at_once is None else AtOnceProtocol(**uvicorns, at_once=at_once)

    table = cast("dict[str, Any]", uvicorn.config.HTTP_PROTOCOLS)  # names of classes, or what makes them
    table["auto"] = connection
