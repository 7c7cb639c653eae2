"""RPCs that only those may call who send a header with the right value."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import grpc

from bento.inference.over_grpc.refusing import metadata_of, refusing
from bento.inference.protocol.header_rules import Restrictions

HEADER_PREFIX = "triton-grpc-protocol-"
"""Of the restricting headers in gRPC metadata; tritonserver's."""

_API_OF = {
    "ServerLive": "health", "ServerReady": "health", "ModelReady": "health", "Check": "health", "Watch": "health",
    "List": "health",
    "ServerMetadata": "metadata", "ModelMetadata": "metadata",
    "ModelInfer": "inference", "ModelStreamInfer": "inference",
    "SystemSharedMemoryStatus": "shared-memory", "SystemSharedMemoryRegister": "shared-memory",
    "SystemSharedMemoryUnregister": "shared-memory", "CudaSharedMemoryStatus": "shared-memory",
    "CudaSharedMemoryRegister": "shared-memory", "CudaSharedMemoryUnregister": "shared-memory",
    "ModelConfig": "model-config",
    "RepositoryIndex": "model-repository", "RepositoryModelLoad": "model-repository",
    "RepositoryModelUnload": "model-repository",
    "ModelStatistics": "statistics", "TraceSetting": "trace", "LogSettings": "logging",
}  # fmt: skip


def api_of(method: str) -> str | None:
    """The API that an RPC belongs to, by its full name; None for reflection."""
    return _API_OF.get(method.rpartition("/")[2])


class RestrictedRpcs(grpc.aio.ServerInterceptor):
    """Lets RPCs of restricted APIs pass with their header only."""

    def __init__(self, restrictions: Restrictions) -> None:
        self._restrictions = restrictions

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[grpc.RpcMethodHandler]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> grpc.RpcMethodHandler:
        """The RPC's handler, or one that refuses."""
        handler = await continuation(handler_call_details)
        api = api_of(handler_call_details.method)
        if handler is None or api is None:
            return handler
        missing = self._restrictions.missing(api, metadata_of(handler_call_details), HEADER_PREFIX)
        if missing is None:
            return handler
        text = f"This protocol is restricted, expecting header '{missing}'"
        return refusing(handler, grpc.StatusCode.UNAVAILABLE, text)
