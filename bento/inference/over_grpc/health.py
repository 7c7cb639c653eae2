"""The standard health service (grpc.health.v1): SERVING while ServerReady is true."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

from grpc.aio import ServicerContext
from grpc_health.v1 import health_pb2, health_pb2_grpc

from bento.inference.server import InferenceServer

_WATCH_INTERVAL_S = 0.5


class ReadinessServicer(health_pb2_grpc.HealthServicer):
    """SERVING while the server is ready, for every service name."""

    def __init__(self, server: InferenceServer) -> None:
        self._server = server
        self._ends = asyncio.Event()

    def end(self) -> None:
        """Say NOT_SERVING from now on, to watchers for the last time."""
        self._ends.set()

    async def Check(
        self, request: health_pb2.HealthCheckRequest, context: ServicerContext
    ) -> health_pb2.HealthCheckResponse:
        """The state now."""
        return health_pb2.HealthCheckResponse(status=self._status())

    async def Watch(
        self, request: health_pb2.HealthCheckRequest, context: ServicerContext
    ) -> AsyncIterator[health_pb2.HealthCheckResponse]:
        """The state now, and again whenever it has changed (looked at twice a second), until the server ends."""
        last = None
        while True:
            status, is_last = self._status(), self._ends.is_set()
            if status != last:
                last = status
                yield health_pb2.HealthCheckResponse(status=status)
            if is_last:
                return
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._ends.wait(), _WATCH_INTERVAL_S)

    def _status(self) -> int:
        states = health_pb2.HealthCheckResponse
        is_serving = self._server.is_ready() and not self._ends.is_set()
        return int(states.SERVING if is_serving else states.NOT_SERVING)
