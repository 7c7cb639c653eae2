"""The standard health service (grpc.health.v1), which answers what ServerReady answers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from grpc.aio import ServicerContext
from grpc_health.v1 import health_pb2, health_pb2_grpc

from bento.inference.server import InferenceServer

_WATCH_INTERVAL_S = 0.5


class ReadinessServicer(health_pb2_grpc.HealthServicer):
    """SERVING while the server is ready, whatever service is asked about."""

    def __init__(self, server: InferenceServer) -> None:
        self._server = server

    async def Check(
        self, request: health_pb2.HealthCheckRequest, context: ServicerContext
    ) -> health_pb2.HealthCheckResponse:
        """The state now."""
        return health_pb2.HealthCheckResponse(status=self._status())

    async def Watch(
        self, request: health_pb2.HealthCheckRequest, context: ServicerContext
    ) -> AsyncIterator[health_pb2.HealthCheckResponse]:
        """The state now, and again whenever it has changed (looked at twice a second)."""
        last = None
        while True:
            status = self._status()
            if status != last:
                last = status
                yield health_pb2.HealthCheckResponse(status=status)
            await asyncio.sleep(_WATCH_INTERVAL_S)

    def _status(self) -> int:
        states = health_pb2.HealthCheckResponse
        return int(states.SERVING if self._server.is_ready() else states.NOT_SERVING)
