"""The gate before the recommender's routes, before `/v2` and `/metrics`, and before gRPC."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

import grpc
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from bento.auth.callers import Caller
from bento.auth.gate import Gate, check_person
from bento.auth.permissions import Access, of_route, of_rpc
from bento.http.errors import HttpError
from bento.http.requests import Request
from bento.http.responses import v2_error_response
from bento.http.root_path import route_path
from bento.http.routing import Route
from bento.inference.over_grpc.refusing import metadata_of, refusing

GRPC_STATUS = {
    401: grpc.StatusCode.UNAUTHENTICATED,
    403: grpc.StatusCode.PERMISSION_DENIED,
    429: grpc.StatusCode.RESOURCE_EXHAUSTED,
    503: grpc.StatusCode.UNAVAILABLE,
}


class RouteGuard:
    """Asks every route for what `permissions` says, and keeps people to themselves."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate

    async def admit(self, route: Route, headers: Mapping[str, str]) -> Caller:
        """Who is calling. Raises: as `Gate.admit`."""
        return await self._gate.admit(of_route(route.method, route.path), headers)

    def check(self, request: Request) -> None:
        """Raises: NotAllowed where a USER names somebody else."""
        check_person(request.user, request.path_params, request.query_params, request.content)


def guarded(app: ASGIApp, gate: Gate, access_of: Callable[[str], Access]) -> ASGIApp:
    """An application whose paths ask for what `access_of` says. Refusals have the v2 protocol's error shape."""

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await gate.admit(access_of(route_path(scope)), Headers(scope=scope))
        except HttpError as error:
            await v2_error_response(error)(scope, receive, send)
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
        try:
            await self._gate.admit(of_rpc(handler_call_details.method), metadata_of(handler_call_details))
        except HttpError as error:
            if handler is None:
                return None
            status, headers = GRPC_STATUS[error.http_status], tuple(error.headers().items())
            return refusing(handler, status, str(error), headers)
        return handler
