"""A reverse proxy that offers a service under a prefix, and takes the prefix off before it forwards."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

DEADLINE_S = 30.0
NOT_FORWARDED = {"host", "content-length", "connection", "transfer-encoding", "content-encoding", "date", "server"}


def stripping_proxy(target: str, prefix: str) -> Starlette:
    """Forwards `prefix` and everything below it to `target` and what is below that."""

    async def forward(request: Request) -> Response:
        path = request.url.path.removeprefix(prefix) or "/"
        headers = {name: value for name, value in request.headers.items() if name not in NOT_FORWARDED}
        async with httpx.AsyncClient(base_url=target, timeout=60) as client:
            query, body = request.url.query, await request.body()
            answer = await client.request(
                request.method, f"{path}?{query}" if query else path, headers=headers, content=body
            )
        kept = {name: value for name, value in answer.headers.items() if name not in NOT_FORWARDED}
        return Response(answer.content, answer.status_code, kept)

    methods = ["GET", "POST", "PUT", "DELETE", "OPTIONS"]
    return Starlette(routes=[Route(f"{prefix}{rest}", forward, methods=methods) for rest in ("", "/{path:path}")])


@contextmanager
def listening(app: ASGIApp, port: int = 0) -> Iterator[str]:
    """The address of an application, while it listens."""
    config = uvicorn.Config(app, host="127.0.0.1", port=port, log_level="warning", lifespan="off", ws="none")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, name="prefix-proxy")
    thread.start()
    try:
        given_up_s = time.monotonic() + DEADLINE_S
        while not server.started:
            assert time.monotonic() < given_up_s, "the proxy does not listen"
            time.sleep(0.01)
        (socket,) = server.servers[0].sockets
        yield f"http://127.0.0.1:{socket.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()
