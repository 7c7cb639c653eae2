"""Requests whose JSON was read before: a client that asks the same model again sends the same header, byte for byte.

Only headers that say nothing but where the bytes of fixed-width tensors lie are kept: no ids, sequences or shared
memory. Reading one anew takes 8 us, finding it here 3 (`decode_request` of two inputs and an output, one core).
"""

from __future__ import annotations

import numpy as np

from bento.inference.protocol.output_delivery import DecodedRequest
from bento.inference.protocol.request_template import KnownLayout, says_only_where

MAX_HEADER_BYTES = 1024
MAX_HEADERS = 256
"""Of both together at most 256 KB of keys; all are dropped when there would be more."""


class KnownHeaders:
    """Headers of requests that were read well. For the loop only."""

    def __init__(self) -> None:
        self._requests: dict[bytes, tuple[KnownLayout, int]] = {}  # with the bytes of all inputs together

    def read(self, body: bytes, header_length: int, model_name: str, model_version: str) -> DecodedRequest | None:
        """The request, when its header is known and as many bytes follow as it says; None = read it the long way."""
        known = self._requests.get(body[:header_length]) if header_length <= MAX_HEADER_BYTES else None
        if known is None or len(body) - header_length != known[1]:
            return None
        return known[0].read(body, header_length, model_name, model_version)

    def remember(self, body: bytes, header_length: int, decoded: DecodedRequest) -> None:
        """Keep the header of a request that was read, if it is one that can be kept."""
        if header_length > MAX_HEADER_BYTES or header_length == len(body) or not says_only_where(decoded):
            return
        sizes = [tensor.nbytes for tensor in decoded.request.inputs.values()]
        if sum(sizes) != len(body) - header_length:  # some are in the JSON itself, or in shared memory
            return
        if len(self._requests) >= MAX_HEADERS:
            self._requests.clear()
        starts = np.cumsum([0, *sizes]).tolist()
        self._requests[body[:header_length]] = KnownLayout.of(decoded, starts[:-1]), starts[-1]
