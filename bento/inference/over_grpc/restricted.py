"""RPCs that only those may call who send a header with the right value."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import grpc

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
        metadata = {
            key: value if isinstance(value, str) else value.decode("latin-1")
            for key, value in handler_call_details.invocation_metadata or ()
        }
        missing = self._restrictions.missing(api, metadata, HEADER_PREFIX)
        return handler if missing is None else _refusing(handler, missing)


def _refusing(handler: grpc.RpcMethodHandler, header: str) -> grpc.RpcMethodHandler:
    """A handler of the same kind that only refuses."""

    async def refuse(_: Any, context: grpc.aio.ServicerContext) -> None:
        text = f"This protocol is restricted, expecting header '{header}'"
        await context.abort(grpc.StatusCode.UNAVAILABLE, text)

    make = {
        (False, False): grpc.unary_unary_rpc_method_handler,
        (False, True): grpc.unary_stream_rpc_method_handler,
        (True, False): grpc.stream_unary_rpc_method_handler,
        (True, True): grpc.stream_stream_rpc_method_handler,
    }[handler.request_streaming, handler.response_streaming]
    return make(refuse, handler.request_deserializer, handler.response_serializer)
