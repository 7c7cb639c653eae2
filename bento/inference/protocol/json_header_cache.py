"""The JSON header cache: a client that asks the same model again sends the same JSON header, byte for byte.

Cached are only headers that describe nothing but the place of fixed-width tensors: no ids, sequences or shared
memory. Parsing one takes 8 us, finding it here 3 (`decode_request` of two inputs and an output, one core).
"""

from __future__ import annotations

import numpy as np

from bento.inference.protocol.output_delivery import DecodedRequest
from bento.inference.protocol.request_template import RequestTemplate, is_template

MAX_HEADER_BYTES = 1024
MAX_HEADERS = 256
"""Of both together at most 256 KB of keys; all are dropped when there would be more."""


class JsonHeaderCache:
    """Headers that were parsed. Event loop only."""

    def __init__(self) -> None:
        self._requests: dict[bytes, tuple[RequestTemplate, int]] = {}  # with the bytes of all inputs together

    def read(self, body: bytes, header_length: int, model_name: str, model_version: str) -> DecodedRequest | None:
        """The request, when its header is cached and as many bytes follow as it says; None = it must be parsed."""
        cached = self._requests.get(body[:header_length]) if header_length <= MAX_HEADER_BYTES else None
        if cached is None or len(body) - header_length != cached[1]:
            return None
        return cached[0].read(body, header_length, model_name, model_version)

    def remember(self, body: bytes, header_length: int, decoded: DecodedRequest) -> None:
        """Cache the header of a request that was parsed, if it can be cached."""
        if header_length > MAX_HEADER_BYTES or header_length == len(body) or not is_template(decoded):
            return
        sizes = [tensor.nbytes for tensor in decoded.request.inputs.values()]
        if sum(sizes) != len(body) - header_length:  # some are in the JSON itself, or in shared memory
            return
        if len(self._requests) >= MAX_HEADERS:
            self._requests.clear()
        starts = np.cumsum([0, *sizes]).tolist()
        self._requests[body[:header_length]] = RequestTemplate.of(decoded, starts[:-1]), starts[-1]
