"""Immediate answers: infer requests that need no waiting, neither for the body nor for the model, without ASGI.

Every other request goes to the application, which would answer in the same bytes.
"""

from __future__ import annotations

from itertools import accumulate

from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from bento.inference.core.messages import InferResponse
from bento.inference.models.prepared_requests import WireForm
from bento.inference.over_http.application import failure, infer_fields
from bento.inference.over_http.call import OCTETS, Reply
from bento.inference.over_http.fast.head_cache import CachedHead, HeadCache
from bento.inference.protocol.front_end import FrontEndState, answer_now
from bento.inference.protocol.output_delivery import DecodedRequest
from bento.inference.protocol.tensor_bytes import Buffer
from bento.inference.protocol.v2_codec import encode_response
from bento.inference.server import InferenceServer

_OK = STATUS_LINE[200]
_OCTETS_HEAD = b"content-type: " + OCTETS + b"\r\ncontent-length: %d\r\ninference-header-content-length: %d\r\n\r\n"


class ImmediateAnswers:
    """The head cache that the connections of one server share, and the answers to requests with a cached head."""

    def __init__(self, server: InferenceServer, state: FrontEndState, max_body_bytes: int) -> None:
        self.heads = HeadCache(infer_fields, max_body_bytes)
        self._server = server
        self._state = state

    def is_draining(self) -> bool:
        """Whether answers must ask their clients to go elsewhere, which these do not."""
        return self._server.is_draining()

    def answer(self, head: CachedHead, body: bytes, first_headers: bytes = b"") -> bytes | None:
        """The answer as it goes on the wire; None = leave the request to the application.

        `first_headers`: lines that every answer of the server begins with.
        """
        if self._state.log_settings.log_verbose_level:
            return None
        try:
            header, beginning = body[: head.json_bytes], _OK + first_headers
            prepared_requests = self._server.prepared_requests(head.model, head.version)
            prepared = prepared_requests.get(header)
            if prepared is not None:
                answer = prepared.answer(body, head.json_bytes, beginning)
                if answer is not None:
                    return answer
            decoded = self._state.json_headers.read(body, head.json_bytes, head.model, head.version)
            response = None if decoded is None else answer_now(self._server, decoded)
            if response is None or decoded is None:
                return None
            length, parts = encode_response(response, decoded)
            if length is None:
                return _on_the_wire(Reply(bytes(parts[0])), first_headers)
            octets_head = _OCTETS_HEAD % (sum(map(len, parts)), length)
            if prepared_requests.is_due(header):
                self._prepare(header, decoded, response, octets_head, parts)
            return b"".join([beginning, octets_head, *parts])
        except Exception as error:
            return _on_the_wire(failure(error, "POST", head.path), first_headers)

    def _prepare(
        self, header: bytes, decoded: DecodedRequest, response: InferResponse, octets_head: bytes, parts: list[Buffer]
    ) -> None:
        """`parts`: of an answer's body, the first of them JSON."""
        if decoded.wants_classes or len(parts) != 1 + len(response.outputs):
            return  # some outputs stand in the JSON, or are not what the model gave
        starts = list(accumulate((tensor.nbytes for tensor in decoded.request.inputs.values()), initial=0))
        between = [octets_head + bytes(parts[0]), *[b""] * (len(response.outputs) - 1)]
        self._server.prepare_request(decoded.request, response, WireForm(header, starts[:-1], between))


def _on_the_wire(reply: Reply, first_headers: bytes) -> bytes:
    """As uvicorn would send it."""
    headers = [b"%b: %b\r\n" % header for header in reply.raw_headers]
    return b"".join([STATUS_LINE[reply.status_code], first_headers, *headers, b"\r\n", reply.body])
