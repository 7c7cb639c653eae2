"""Requests whose JSON was read before: a client that asks the same model again sends the same header, byte for byte.

Only headers that say nothing but where the bytes of fixed-width tensors lie are kept: no ids, sequences or shared
memory. Reading one anew takes 8 us, finding it here 3 (`decode_request` of two inputs and an output, one core).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bento.inference.messages import InferRequest
from bento.inference.protocol.output_delivery import DecodedRequest, OutputDelivery

MAX_HEADER_BYTES = 1024
MAX_HEADERS = 256
"""Of both together at most 256 KB of keys; all are dropped when there would be more."""


@dataclass(frozen=True, slots=True)
class _KnownInput:
    name: str
    numpy_type: np.dtype
    shape: tuple[int, ...]
    count: int
    start: int
    """Where its bytes begin, from the end of the header."""


@dataclass(frozen=True, slots=True)
class _KnownRequest:
    inputs: tuple[_KnownInput, ...]
    data_bytes: int
    """Of all inputs together."""
    priority: int
    timeout_us: int
    requested_outputs: tuple[str, ...]
    deliveries: dict[str, OutputDelivery]
    default_delivery: OutputDelivery


class KnownHeaders:
    """Headers of requests that were read well. For the loop only."""

    def __init__(self) -> None:
        self._requests: dict[bytes, _KnownRequest] = {}

    def read(self, body: bytes, header_length: int, model_name: str, model_version: str) -> DecodedRequest | None:
        """The request, when its header is known and as many bytes follow as it says; None = read it the long way."""
        known = self._requests.get(body[:header_length]) if header_length <= MAX_HEADER_BYTES else None
        if known is None or len(body) - header_length != known.data_bytes:
            return None
        inputs = {}
        for item in known.inputs:
            tensor = np.frombuffer(body, item.numpy_type, item.count, header_length + item.start)
            if not tensor.flags.aligned:  # see `read_tensor`
                tensor = tensor.copy()
            inputs[item.name] = tensor if len(item.shape) == 1 else tensor.reshape(item.shape)
        request = InferRequest(model_name, inputs, model_version, known.requested_outputs)
        request.priority, request.timeout_us = known.priority, known.timeout_us
        return DecodedRequest(request, known.deliveries, known.default_delivery)

    def remember(self, body: bytes, header_length: int, decoded: DecodedRequest) -> None:
        """Keep the header of a request that was read, if it is one that can be kept."""
        if header_length > MAX_HEADER_BYTES or header_length == len(body) or not _says_only_where(decoded):
            return
        request = decoded.request
        sizes = [tensor.nbytes for tensor in request.inputs.values()]
        if sum(sizes) != len(body) - header_length:  # some are in the JSON itself, or in shared memory
            return
        if len(self._requests) >= MAX_HEADERS:
            self._requests.clear()
        starts = np.cumsum([0, *sizes]).tolist()
        self._requests[body[:header_length]] = _KnownRequest(
            tuple(
                _KnownInput(name, tensor.dtype, tensor.shape, tensor.size, start)
                for (name, tensor), start in zip(request.inputs.items(), starts[:-1], strict=True)
            ),
            starts[-1],
            request.priority,
            request.timeout_us,
            request.requested_outputs,
            decoded.deliveries,
            decoded.default_delivery,
        )


def _says_only_where(decoded: DecodedRequest) -> bool:
    """Whether the header holds nothing of this one request, but for where the bytes of its tensors are."""
    request = decoded.request
    return not (
        request.id
        or request.parameters
        or request.sequence is not None
        or decoded.misfit is not None
        or any(delivery.place is not None for delivery in decoded.deliveries.values())
        or any(tensor.dtype == np.object_ or tensor.size == 0 for tensor in request.inputs.values())
    )
