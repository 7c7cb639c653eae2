"""The same gate before what is not the recommender's: `/v2`, gRPC and `/metrics`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import grpc
import msgspec

from bento.auth.gate import Gate
from bento.auth.permissions import Access, of_rpc
from bento.http.asgi import App, Receive, Scope, Send
from bento.recommender.errors import RecommenderError

GRPC_STATUS = {
    401: grpc.StatusCode.UNAUTHENTICATED,
    403: grpc.StatusCode.PERMISSION_DENIED,
    429: grpc.StatusCode.RESOURCE_EXHAUSTED,
    503: grpc.StatusCode.UNAVAILABLE,
}


def guarded(app: App, gate: Gate, access_of: Callable[[str], Access]) -> App:
    """An application whose paths ask for what `access_of` says. Refusals have the v2 protocol's error shape."""

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await gate.admit(access_of(scope["path"]), dict(scope["headers"]))
        except RecommenderError as error:
            body = msgspec.json.encode({"error": str(error)})
            length = (b"content-length", str(len(body)).encode())
            headers = [(b"content-type", b"application/json"), length, *error.headers()]
            await send({"type": "http.response.start", "status": error.http_status, "headers": headers})
            await send({"type": "http.response.body", "body": body})
        else:
            await app(scope, receive, send)

    return answer


class GrpcGuard(grpc.aio.ServerInterceptor):
    """Asks every RPC for `authorization` or `x-api-key` in its metadata."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[grpc.RpcMethodHandler]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> grpc.RpcMethodHandler:
        """The RPC's handler, or one that refuses."""
        handler = await continuation(handler_call_details)
        metadata = {
            key.encode(): value.encode() if isinstance(value, str) else value
            for key, value in handler_call_details.invocation_metadata or ()
        }
        try:
            await self._gate.admit(of_rpc(handler_call_details.method), metadata)
        except RecommenderError as error:
            return None if handler is None else _refusing(handler, error)
        return handler


def _refusing(handler: grpc.RpcMethodHandler, error: RecommenderError) -> grpc.RpcMethodHandler:
    """A handler of the same kind that only refuses."""

    async def refuse(_: Any, context: grpc.aio.ServicerContext) -> None:
        headers = tuple((name.decode(), value.decode()) for name, value in error.headers())
        await context.abort(GRPC_STATUS[error.http_status], str(error), headers)

    make = {
        (False, False): grpc.unary_unary_rpc_method_handler,
        (False, True): grpc.unary_stream_rpc_method_handler,
        (True, False): grpc.stream_unary_rpc_method_handler,
        (True, True): grpc.stream_stream_rpc_method_handler,
    }[handler.request_streaming, handler.response_streaming]
    return make(refuse, handler.request_deserializer, handler.response_serializer)
