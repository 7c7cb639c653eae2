"""Front ends on free ports of the loopback interface, over NumPy models."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import Future
from contextlib import AbstractContextManager, asynccontextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any

import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send

from bento.inference.over_grpc.service import start_grpc
from bento.inference.over_http.application import make_http_app
from bento.inference.over_http.connections import infer_connections
from bento.inference.protocol.front_end import FrontEndState
from bento.inference.server import InferenceServer
from tests.inference.closing import close_with_nothing_left

MAX_BODY_BYTES = 1 << 20
START_AND_END_WITHIN_S = 60.0
"""A server that takes longer has not come up, or is not going down."""

FAST_PATH = os.environ.get("FAST_PATH", "on") == "on"
"""Whether the servers of this run take the fast path, but for those of the fast path's own tests."""

StartServer = Callable[..., Awaitable[InferenceServer]]
"""Starts a server over the test's repository with some options; see the fixture `start_server`."""


@dataclass
class Running:
    """A server with both front ends, on a loop in a thread of its own, so that blocking clients can call it."""

    loop: asyncio.AbstractEventLoop
    server: Any = None
    state: FrontEndState = field(default_factory=FrontEndState)
    http_port: int = 0
    grpc_port: int = 0
    application_requests: int = 0
    """Infer requests that reached the ASGI application."""

    @property
    def http(self) -> str:
        return f"127.0.0.1:{self.http_port}"

    @property
    def grpc(self) -> str:
        return f"127.0.0.1:{self.grpc_port}"

    def run(self, coroutine: Awaitable[Any]) -> Any:
        """Wait for a coroutine on the server's loop."""

        async def awaited() -> Any:
            return await coroutine

        return asyncio.run_coroutine_threadsafe(awaited(), self.loop).result(30)


@asynccontextmanager
async def front_ends(server: Any, running: Running, max_body_bytes: int = MAX_BODY_BYTES) -> AsyncIterator[None]:
    """Serve both protocols while the context lasts."""
    app = make_http_app(server, max_body_bytes=max_body_bytes, state=running.state)
    protocol: Any = infer_connections(server, running.state, max_body_bytes)
    quiet: dict[str, Any] = {"log_level": "warning", "access_log": False, "server_header": False, "date_header": False}
    config = uvicorn.Config(_counting(app, running), "127.0.0.1", 0, http=protocol, **quiet)
    http_server = uvicorn.Server(config)
    http_server.capture_signals = _no_signals  # the loop does not run in the main thread
    serving = asyncio.create_task(http_server.serve())
    while not http_server.started:
        await asyncio.sleep(0.001)
    running.http_port = http_server.servers[0].sockets[0].getsockname()[1]
    grpc_server, running.grpc_port = await start_grpc(
        server, "127.0.0.1", 0, max_message_bytes=max_body_bytes, state=running.state
    )
    try:
        yield
    finally:
        http_server.should_exit = True
        await serving
        await grpc_server.stop(1)


def _counting(app: ASGIApp, running: Running) -> ASGIApp:
    async def counted(scope: Scope, receive: Receive, send: Send) -> None:
        running.application_requests += scope.get("path", "").endswith("/infer")
        await app(scope, receive, send)

    return counted


def _no_signals() -> AbstractContextManager[None]:
    return nullcontext()


def serve_in_thread(
    make_server: Callable[[], Awaitable[Any]], max_body_bytes: int = MAX_BODY_BYTES
) -> Iterator[Running]:
    """Start a server and its front ends in a thread; yields what a client needs to know."""
    started: Future[Running] = Future()
    ended: Future[None] = Future()
    stop: list[Callable[[], None]] = []

    async def main() -> None:
        stopping = asyncio.Event()
        loop = asyncio.get_running_loop()
        stop.append(lambda: loop.call_soon_threadsafe(stopping.set))
        try:
            running = Running(loop, await make_server())
            async with front_ends(running.server, running, max_body_bytes):
                started.set_result(running)
                await stopping.wait()
        except BaseException as error:
            if not started.done():
                started.set_exception(error)
            raise
        if isinstance(running.server, InferenceServer):
            await close_with_nothing_left(running.server)

    def run() -> None:
        try:
            asyncio.run(main())
        except BaseException as error:
            ended.set_exception(error)
        else:
            ended.set_result(None)

    threading.Thread(target=run, daemon=True).start()
    try:
        yield started.result(START_AND_END_WITHIN_S)
    finally:
        for call in stop:
            call()
        ended.result(START_AND_END_WITHIN_S)
