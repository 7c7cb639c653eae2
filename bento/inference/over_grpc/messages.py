"""How the bytes of ModelInfer become requests, and answers bytes: the interface, and the way by protobuf alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from tritonclient.grpc import service_pb2 as pb

from bento.inference.core.messages import InferResponse
from bento.inference.over_grpc.codec import encode_response
from bento.inference.protocol.output_delivery import DecodedRequest


class Template(Protocol):
    """What all requests that differ from an earlier one in nothing but their tensors have in common."""

    def read(self, data: bytes) -> DecodedRequest:
        """The request."""

    def answer(self, data: bytes, time_remaining: Callable[[], float | None]) -> bytes | None:
        """The answer of a prepared model, as it goes on the wire; None = the request takes the ordinary way.

        `time_remaining`: seconds until the client's deadline, None without one.
        """

    def prepare(self, decoded: DecodedRequest, response: InferResponse) -> None:
        """Have the model prepare for such requests, once enough of them came. `response` was given by `infer_now`."""


class InferMessages(Protocol):
    """Reads requests and writes answers."""

    def find(self, data: bytes) -> Template | None:
        """The template of this message; None = protobuf is to parse it."""

    def remember(self, data: bytes, message: pb.ModelInferRequest, decoded: DecodedRequest) -> None:
        """Make a template of a message that protobuf parsed, if it can be one."""

    def write(self, response: InferResponse, decoded: DecodedRequest) -> bytes:
        """The answer as it goes on the wire."""


class PlainMessages:
    """Protobuf parses every message and writes every answer."""

    def find(self, data: bytes) -> Template | None:
        """Always None."""
        return None

    def remember(self, data: bytes, message: pb.ModelInferRequest, decoded: DecodedRequest) -> None:
        """No templates are made."""

    def write(self, response: InferResponse, decoded: DecodedRequest) -> bytes:
        """The answer as it goes on the wire."""
        return bytes(encode_response(response, decoded).SerializeToString())
