"""Refusing an RPC in an interceptor: its metadata as text, and a handler that only refuses."""

from __future__ import annotations

from typing import Any

import grpc


def metadata_of(details: grpc.HandlerCallDetails) -> dict[str, str]:
    """The metadata of an RPC by key, binary values as latin-1."""
    return {
        key: value if isinstance(value, str) else value.decode("latin-1")
        for key, value in details.invocation_metadata or ()
    }


def refusing(
    handler: grpc.RpcMethodHandler, status: grpc.StatusCode, text: str, metadata: tuple[tuple[str, str], ...] = ()
) -> grpc.RpcMethodHandler:
    """A handler of the same kind as `handler` that only refuses, with trailing `metadata`."""

    async def refuse(_: Any, context: grpc.aio.ServicerContext) -> None:
        await context.abort(status, text, metadata)

    make = {
        (False, False): grpc.unary_unary_rpc_method_handler,
        (False, True): grpc.unary_stream_rpc_method_handler,
        (True, False): grpc.stream_unary_rpc_method_handler,
        (True, True): grpc.stream_stream_rpc_method_handler,
    }[handler.request_streaming, handler.response_streaming]
    return make(refuse, handler.request_deserializer, handler.response_serializer)
