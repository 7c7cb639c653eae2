"""The inference server as a process of its own: both front ends, the metrics port, logging, shutdown."""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
import sys
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import grpc
import structlog
import uvicorn
from rich import box
from rich.console import Console
from rich.table import Table
from starlette.types import ASGIApp, Receive, Scope, Send

from bento.end_signals import END_SIGNALS, EndSignals
from bento.http.closing import ClosingAnswers
from bento.inference.core.long_lived import freeze_loaded_objects
from bento.inference.core.options import ServerOptions
from bento.inference.over_grpc.restricted import RestrictedRpcs
from bento.inference.over_grpc.service import GrpcFrontEnd, start_grpc
from bento.inference.over_http.application import make_http_app
from bento.inference.over_http.call import Reply
from bento.inference.over_http.connections import Connections, infer_connections, plain_connections
from bento.inference.protocol.front_end import DEFAULT_MAX_BODY_BYTES, FrontEndState
from bento.inference.protocol.header_rules import NO_RESTRICTIONS, ForwardedHeaders, Restrictions
from bento.inference.protocol.log_settings import LOGGER, LogSettings, TritonLogFormatter
from bento.inference.protocol.metrics import CONTENT_TYPE, TritonCollector, render_metrics
from bento.inference.protocol.shared_memory import SharedMemoryRegistry
from bento.inference.server import InferenceServer

logger = logging.getLogger(__name__)

_KEEP_ALIVE_S = 300
"""How long an idle connection stays open; tritonclient keeps its connections and is surprised by a closed one."""


@dataclass(frozen=True, slots=True)
class ListenOptions:
    """Where to listen. A port of None is not opened, port 0 takes a free one."""

    http_address: str = "0.0.0.0"
    http_port: int | None = 8000
    grpc_address: str = "0.0.0.0"
    grpc_port: int | None = 8001
    metrics_address: str = "0.0.0.0"
    metrics_port: int | None = 8002
    http_max_input_bytes: int = DEFAULT_MAX_BODY_BYTES
    grpc_max_message_bytes: int = DEFAULT_MAX_BODY_BYTES
    http_restrictions: Restrictions = NO_RESTRICTIONS
    grpc_restrictions: Restrictions = NO_RESTRICTIONS
    http_forwarded_headers: ForwardedHeaders | None = None
    grpc_forwarded_headers: ForwardedHeaders | None = None
    grpc_credentials: grpc.ServerCredentials | None = None
    """None: gRPC in clear text."""
    client_shared_memory: bool = True
    """Whether clients may register regions."""
    drain_s: float = 3.0
    """How long requests are still taken after the first signal; part of `ServerOptions.shutdown_timeout_s`."""


class _HttpServer(uvicorn.Server):
    """uvicorn without signal handlers: several run in one process, and it is the process that ends."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the process's signals alone."""
        yield


async def serve(options: ServerOptions, listen: ListenOptions, log_settings: LogSettings) -> None:
    """Load the models, listen, and go on until SIGINT or SIGTERM; then drain and finish the requests in flight.

    A second signal ends the process at once.
    Raises: RepositoryFailed; OSError or RuntimeError when a port is taken.
    """
    stop = _stop_at_signals()
    server = await InferenceServer.start(options)
    Console(stderr=True).print(model_table(server.repository_index()))
    freeze_loaded_objects()
    front_ends = _FrontEnds()
    drain_s = min(listen.drain_s, options.shutdown_timeout_s)
    try:
        regions = SharedMemoryRegistry(allowed=listen.client_shared_memory)
        state = FrontEndState(regions=regions, log_settings=log_settings)
        await _listen(server, listen, state, options.shutdown_timeout_s - drain_s, front_ends)
        await stop.wait()
        server.begin_drain()
        front_ends.begin_drain()
        logger.info("Signal received, waiting for in-flight requests to complete (at most %g s).",
                    options.shutdown_timeout_s)  # fmt: skip
        await asyncio.sleep(drain_s)
    finally:
        await asyncio.gather(*(stop() for stop in front_ends.stops))
        await server.close()


def _stop_at_signals() -> asyncio.Event:
    """Set by the first SIGINT or SIGTERM; a second one has its default action: the process ends."""
    stop, signals = asyncio.Event(), EndSignals()

    def signalled(number: signal.Signals) -> None:
        if signals.is_second():
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)
        stop.set()

    for number in END_SIGNALS:
        asyncio.get_running_loop().add_signal_handler(number, signalled, number)
    return stop


_Stop = Callable[[], Awaitable[object]]


@dataclass(slots=True)
class _FrontEnds:
    """What listens."""

    grpc: GrpcFrontEnd | None = None
    stops: list[_Stop] = field(default_factory=list)
    """What closes each port once its requests are answered."""

    def begin_drain(self) -> None:
        """Tell those that watch health; everything else asks the server."""
        if self.grpc is not None:
            self.grpc.begin_drain()


async def _listen(
    server: InferenceServer, listen: ListenOptions, state: FrontEndState, grace_s: float, front_ends: _FrontEnds
) -> None:
    """Open the ports; what listens is added to `front_ends`."""
    if listen.grpc_port is not None:
        limit = listen.grpc_max_message_bytes
        interceptors = [RestrictedRpcs(listen.grpc_restrictions)] if listen.grpc_restrictions else []
        front_ends.grpc, port = await start_grpc(
            server, listen.grpc_address, listen.grpc_port, max_message_bytes=limit, state=state,
            interceptors=interceptors, credentials=listen.grpc_credentials,
            forwarded_headers=listen.grpc_forwarded_headers,
        )  # fmt: skip
        front_ends.stops.append(partial(front_ends.grpc.stop, grace_s))
        logger.info("Started GRPCInferenceService at %s:%d", listen.grpc_address, port)
    limit = listen.http_max_input_bytes
    http_app = make_http_app(
        server, max_body_bytes=limit, state=state, restrictions=listen.http_restrictions,
        forwarded_headers=listen.http_forwarded_headers,
    )  # fmt: skip
    infer = plain = plain_connections(server.options)
    if "inference" not in listen.http_restrictions and listen.http_forwarded_headers is None:
        infer = infer_connections(server, state, limit)
    for name, app, connections, address, http_port in (
        ("HTTPService", http_app, infer, listen.http_address, listen.http_port),
        ("Metrics Service", metrics_app(server), plain, listen.metrics_address, listen.metrics_port),
    ):
        if http_port is not None:
            closing_app = ClosingAnswers(app, server.is_draining)
            port, end = _start_http(closing_app, connections, address, http_port, grace_s)
            front_ends.stops.append(end)
            logger.info("Started %s at %s:%d", name, address, port)


def _start_http(app: ASGIApp, connections: Connections, address: str, port: int, grace_s: float) -> tuple[int, _Stop]:
    """Listen; returns the port and what stops it."""
    protocol: Any = connections
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    listener = socket.create_server((address, port), family=family, backlog=2048)
    config = uvicorn.Config(
        app, http=protocol, lifespan="off", ws="none", log_level="warning", access_log=False,
        server_header=False, date_header=False, proxy_headers=False, timeout_keep_alive=_KEEP_ALIVE_S,
        timeout_graceful_shutdown=max(int(grace_s), 1),
    )  # fmt: skip
    http_server = _HttpServer(config)
    serving = asyncio.create_task(http_server.serve(sockets=[listener]))

    async def stop() -> None:
        http_server.should_exit = True
        await serving

    return int(listener.getsockname()[1]), stop


def metrics_app(server: InferenceServer) -> ASGIApp:
    """An ASGI application with nothing but GET /metrics."""
    collector = TritonCollector(server)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] != "/metrics":
            reply = Reply.of_error("Not Found", 404)
        elif scope["method"] != "GET":
            reply = Reply.of_error("Method Not Allowed", 405)
        else:
            reply = Reply(render_metrics(server, collector), content_type=CONTENT_TYPE.encode())
        await reply(scope, receive, send)

    return app


def model_table(index: list[dict[str, str]]) -> Table:
    """What was loaded, as tritonserver shows it when it starts."""
    table = Table(box=box.ASCII2)
    for column in ("Model", "Version", "Status"):
        table.add_column(column, overflow="fold")
    for model in index:
        reason = f": {model['reason']}" if model.get("reason") else ""
        table.add_row(model["name"], model.get("version") or "-", model.get("state", "not loaded") + reason)
    return table


def _event_line(_logger: object, _method: str, event: MutableMapping[str, object]) -> str:
    """ "model is ready: model='a', versions=[1]"."""
    text = str(event.pop("event"))
    traceback = event.pop("exception", None)
    details = ", ".join(f"{name}={value!r}" for name, value in event.items())
    line = f"{text}: {details}" if details else text
    return f"{line}\n{traceback}" if traceback else line


def configure_logging(settings: LogSettings, file: Path | None) -> None:
    """Send every log line of the inference server, structured or not, to `file` or stderr in Triton's format."""
    handler = logging.FileHandler(file) if file else logging.StreamHandler(sys.stderr)
    handler.setFormatter(TritonLogFormatter(settings))
    handler.addFilter(settings.allows)
    LOGGER.addHandler(handler)
    LOGGER.propagate = False
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.processors.format_exc_info,
            _event_line,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
    )
