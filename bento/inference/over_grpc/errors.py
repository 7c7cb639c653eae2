"""How the methods of a gRPC servicer report errors."""

from __future__ import annotations

import functools
import logging
from collections.abc import Awaitable, Callable
from typing import Any

import grpc
from google.protobuf.message import DecodeError, Message
from grpc.aio import ServicerContext

from bento.inference.core.errors import InferenceError, InvalidRequest

logger = logging.getLogger(__name__)

INTERNAL_ERROR = "internal error, see the server's log"
"""What a client hears of a bug; the log has the traceback."""


class UndecodableMessage(InvalidRequest):
    """Bytes that are no message of the kind that the method takes. Stands where the message would be."""

    def __init__(self, kind: str) -> None:
        super().__init__(f"failed to parse the request: not a valid {kind} message")


_Rpc = Callable[..., Awaitable[Any]]


def tolerant_parser(message_class: type[Message]) -> Callable[[bytes], Message | UndecodableMessage]:
    """A deserializer that does not raise: grpcio would log a traceback and answer UNKNOWN."""
    parse = message_class.FromString

    def deserialize(data: bytes) -> Message | UndecodableMessage:
        try:
            return parse(data)
        except DecodeError:
            return UndecodableMessage(message_class.DESCRIPTOR.name)

    return deserialize


def reported(rpc: _Rpc) -> _Rpc:
    """Turn an InferenceError into the status it names, anything else into INTERNAL with a traceback in the log."""

    @functools.wraps(rpc)
    async def wrapper(self: Any, request: Any, context: ServicerContext) -> Any:
        if self.state.log_settings.log_verbose_level:
            logger.debug("gRPC request: %s", rpc.__name__)
        try:
            if isinstance(request, UndecodableMessage):
                raise request
            return await rpc(self, request, context)
        except InferenceError as error:
            code, text = grpc.StatusCode[error.grpc_status], str(error)
        except Exception:
            logger.exception("%s failed", rpc.__name__)
            code, text = grpc.StatusCode.INTERNAL, INTERNAL_ERROR
        return await context.abort(code, text)

    return wrapper
