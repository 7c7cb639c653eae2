"""Request templates: the place of the tensors in a request's bytes, for requests that differ in nothing else."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from bento.inference.core.messages import InferRequest
from bento.inference.protocol.output_delivery import DecodedRequest, OutputDelivery


@dataclass(frozen=True, slots=True)
class _TemplateInput:
    name: str
    numpy_type: np.dtype
    shape: tuple[int, ...]
    count: int
    start: int


@dataclass(frozen=True, slots=True)
class RequestTemplate:
    """A request without its tensors. Made of one that `is_template`."""

    inputs: tuple[_TemplateInput, ...]
    priority: int
    timeout_us: int
    requested_outputs: tuple[str, ...]
    deliveries: dict[str, OutputDelivery]
    default_delivery: OutputDelivery

    @classmethod
    def of(cls, decoded: DecodedRequest, starts: Iterable[int]) -> RequestTemplate:
        """`starts`: where the bytes of each input begin."""
        request = decoded.request
        inputs = tuple(
            _TemplateInput(name, tensor.dtype, tensor.shape, tensor.size, start)
            for (name, tensor), start in zip(request.inputs.items(), starts, strict=True)
        )
        outputs, deliveries = request.requested_outputs, decoded.deliveries
        return cls(inputs, request.priority, request.timeout_us, outputs, deliveries, decoded.default_delivery)

    def read(self, data: bytes, base: int, model_name: str, model_version: str) -> DecodedRequest:
        """The request whose tensors are in `data`, where they are looked for from `base` on."""
        inputs = {}
        for item in self.inputs:
            tensor = np.frombuffer(data, item.numpy_type, item.count, base + item.start)
            if not tensor.flags.aligned:  # see `read_tensor`
                tensor = tensor.copy()
            inputs[item.name] = tensor if len(item.shape) == 1 else tensor.reshape(item.shape)
        request = InferRequest(model_name, inputs, model_version, self.requested_outputs)
        request.priority, request.timeout_us = self.priority, self.timeout_us
        return DecodedRequest(request, self.deliveries, self.default_delivery)


def is_template(decoded: DecodedRequest) -> bool:
    """Whether a request holds nothing of its own, but for where the bytes of its tensors are."""
    request = decoded.request
    return not (
        request.id
        or request.parameters
        or request.sequence is not None
        or decoded.misfit is not None
        or any(delivery.place is not None for delivery in decoded.deliveries.values())
        or any(tensor.dtype == np.object_ or tensor.size == 0 for tensor in request.inputs.values())
    )
