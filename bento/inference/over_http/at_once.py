"""Answers to infer requests without ASGI, where nothing has to be waited for: neither the request nor the model.

Whatever else comes is the application's, and so is everything that it would answer otherwise.
"""

from __future__ import annotations

from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from bento.inference.over_http.application import failure, infer_fields
from bento.inference.over_http.call import OCTETS, Reply
from bento.inference.over_http.known_heads import KnownHead, KnownHeads
from bento.inference.protocol.front_end import FrontEndState, answer_now
from bento.inference.protocol.v2_codec import encode_response
from bento.inference.server import InferenceServer

_OCTETS_HEAD = (
    STATUS_LINE[200] + b"%bcontent-type: " + OCTETS + b"\r\ncontent-length: %d\r\n"
    b"inference-header-content-length: %d\r\n\r\n"
)
_HEAD = b"%b%bcontent-type: %b\r\ncontent-length: %d\r\n\r\n"


class AtOnce:
    """What the connections of one server know of their requests, and how they answer them."""

    def __init__(self, server: InferenceServer, state: FrontEndState, max_body_bytes: int) -> None:
        self.heads = KnownHeads(infer_fields, max_body_bytes)
        self._server = server
        self._state = state

    def answer(self, head: KnownHead, body: bytes, first_headers: bytes = b"") -> bytes | None:
        """The answer as it goes on the wire; None = leave the request to the application.

        `first_headers`: lines that every answer of the server begins with.
        """
        state = self._state
        if state.log_settings.log_verbose_level:
            return None
        decoded = state.known_headers.read(body, head.json_bytes, head.model, head.version)
        if decoded is None:
            return None
        try:
            response = answer_now(self._server, decoded)
            if response is None:
                return None
            length, parts = encode_response(response, decoded)
        except Exception as error:
            return _on_the_wire(failure(error, "POST", head.path), first_headers)
        if length is None:
            return _on_the_wire(Reply(bytes(parts[0])), first_headers)
        return b"".join([_OCTETS_HEAD % (first_headers, sum(map(len, parts)), length), *parts])


def _on_the_wire(reply: Reply, first_headers: bytes) -> bytes:
    """As uvicorn would send it. `reply` has no further headers."""
    head = _HEAD % (STATUS_LINE[reply.status], first_headers, reply.content_type, len(reply.body))
    return head + reply.body
