"""The floor under a served inference: a bare uvicorn and a bare grpcio that answer with what they were sent.

python -m loadtest.echo_servers --http-port 9000 --grpc-port 9001
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Annotated, Any

import grpc
import typer
import uvicorn

Message = MutableMapping[str, Any]


async def echo(
    scope: Message, receive: Callable[[], Awaitable[Message]], send: Callable[[Message], Awaitable[None]]
) -> None:
    """ASGI: the request's body is the answer's."""
    if scope["type"] != "http":
        return
    body, more = b"", True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]})
    await send({"type": "http.response.body", "body": body})


class EchoAnyMethod(grpc.GenericRpcHandler):
    """Every unary method answers with the bytes it was sent."""

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler:
        """The same handler for every method name."""

        async def answer(request: bytes, context: grpc.aio.ServicerContext) -> bytes:
            return request

        return grpc.unary_unary_rpc_method_handler(answer)


async def serve(http_port: int, grpc_port: int) -> None:
    """Run both until interrupted."""
    grpc_server = grpc.aio.server()
    grpc_server.add_generic_rpc_handlers((EchoAnyMethod(),))
    grpc_server.add_insecure_port(f"127.0.0.1:{grpc_port}")
    await grpc_server.start()
    config = uvicorn.Config(
        echo, port=http_port, http="httptools", loop="uvloop", lifespan="off", access_log=False, log_level="warning"
    )
    await uvicorn.Server(config).serve()
    await grpc_server.stop(None)


def main(http_port: Annotated[int, typer.Option()] = 9000, grpc_port: Annotated[int, typer.Option()] = 9001) -> None:
    """Echo over HTTP and gRPC on 127.0.0.1."""
    import uvloop

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(http_port, grpc_port))


if __name__ == "__main__":
    typer.run(main)
