"""A uvicorn that is started as BentoML starts it in a worker: without a word on the protocol."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import uvicorn

from tests.inference.http_wire import Wire


@contextmanager
def worker(app: Any) -> Iterator[Wire]:
    """A connection to a uvicorn on a loop of its own."""
    config = uvicorn.Config(app, "127.0.0.1", 0, log_config=None, server_header=False)
    server = uvicorn.Server(config)
    server.capture_signals = nullcontext  # type: ignore[method-assign]
    started, startup = threading.Event(), server.startup

    async def start(**how: Any) -> None:
        await startup(**how)
        started.set()

    server.startup = start  # type: ignore[method-assign]
    thread = threading.Thread(target=asyncio.run, args=(server.serve(),))
    thread.start()
    assert started.wait(20)
    wire = Wire(server.servers[0].sockets[0].getsockname()[1])
    try:
        yield wire
    finally:
        wire.socket.close()
        server.should_exit = True
        thread.join(20)
