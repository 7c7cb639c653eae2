"""What one worker process of the service holds: everything is started and stopped in order.

Nothing of BentoML is known here, so tests start a worker without it.
"""

from __future__ import annotations

import time
from contextlib import AsyncExitStack
from dataclasses import dataclass

from starlette.types import ASGIApp

from bento.auth.permissions import of_v2_path
from bento.auth.setup import Auth, make_auth
from bento.http.application import Application
from bento.http.hosts import HostNames
from bento.http.request_ids import RequestIds
from bento.http.routing import Router
from bento.inference.over_grpc.service import GrpcFrontEnd, start_grpc
from bento.inference.over_http.application import make_http_app
from bento.inference.over_http.connections import Connections, infer_connections, plain_connections
from bento.inference.protocol.front_end import FrontEndState
from bento.inference.protocol.metrics import render_metrics
from bento.inference.server import InferenceServer
from bento.recommender.telemetry.metrics import Metrics
from bento.release.loading import Release
from bento.serving.assembly import Foundation, lay_foundation, start_parts
from bento.serving.routes import build_config, build_router, log_start
from bento.settings import Settings

GRPC_GRACE_S = 25.0
"""Seconds that requests over gRPC have to finish when the worker closes; `Drain` ends them sooner."""


@dataclass
class Worker:
    """What answers requests."""

    release: Release
    server: InferenceServer
    v2: ASGIApp
    """/v2 over HTTP."""
    connections: Connections
    """HTTP connections; some answer infer requests without `v2`, unless every request must pass the gate."""
    recommender: ASGIApp
    """The recommender's own routes."""
    grpc_port: int
    router: Router
    auth: Auth
    _grpc: GrpcFrontEnd
    _stack: AsyncExitStack

    @classmethod
    async def start(cls, settings: Settings, metrics: Metrics, names: HostNames | None = None) -> Worker:
        """Start everything; gRPC last, so that whoever connects finds it ready.

        `names`: those that the service answers to, checked in front of `v2` and `recommender`; None: all.

        Raises: ReleaseError, ExperimentsError, InferenceError (a model does not load), RuntimeError (the gRPC port is
        taken). What was started before is stopped again.
        """
        started_s, ids = time.perf_counter(), RequestIds()
        async with AsyncExitStack() as stack:
            base = await lay_foundation(settings, metrics, stack)
            parts = await start_parts(base, worker_id=ids.new())
            auth, state = make_auth(settings, base.stores.link, base.stores.prefix), FrontEndState()
            grpc_front_end, grpc_port = await _listen_for_grpc(base, state, auth)
            config = build_config(base, grpc_port)
            router = build_router(base, parts, auth, ids, config)
            worker = cls(
                base.release,
                base.server,
                auth.guard(_v2(base, state), of_v2_path),
                _connections(base, state, auth, names),
                Application(router, metrics, settings.max_body_bytes, auth.route_guard),
                grpc_port,
                router,
                auth,
                grpc_front_end,
                stack.pop_all(),
            )
        log_start(settings, config, time.perf_counter() - started_s)
        return worker

    def begin_drain(self) -> None:
        """Be not ready over HTTP and gRPC, and ask clients to go elsewhere; requests are answered until `close`."""
        self.server.begin_drain()
        self._grpc.begin_drain()

    async def stop_grpc(self, grace_s: float) -> None:
        """Take no more requests over gRPC; those in flight have so many seconds."""
        await self._grpc.stop(grace_s)

    async def close(self) -> None:
        """Stop everything in reverse order; requests in flight are answered."""
        await self._stack.aclose()

    def inference_metrics(self) -> str:
        """The inference server's metrics in Prometheus' text format."""
        return render_metrics(self.server).decode()


def _v2(base: Foundation, state: FrontEndState) -> ASGIApp:
    return make_http_app(base.server, max_body_bytes=base.settings.v2_max_body_bytes, state=state)


def _connections(base: Foundation, state: FrontEndState, auth: Auth, names: HostNames | None) -> Connections:
    if auth.gate is not None:
        return plain_connections(base.server.options)
    trusts = None if names is None else names.has_accepted
    return infer_connections(base.server, state, base.settings.v2_max_body_bytes, trusts)


async def _listen_for_grpc(base: Foundation, state: FrontEndState, auth: Auth) -> tuple[GrpcFrontEnd, int]:
    """What answers gRPC, and its port. Raises: RuntimeError when it is taken."""
    settings = base.settings
    front_end, port = await start_grpc(
        base.server, settings.host, settings.grpc_port, state=state, interceptors=auth.interceptors
    )
    base.stack.push_async_callback(front_end.stop, grace=GRPC_GRACE_S)
    return front_end, port
