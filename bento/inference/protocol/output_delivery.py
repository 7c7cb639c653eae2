"""How each output of a request travels back: in JSON, as bytes, as classes, or into shared memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from bento.inference.core.messages import InferRequest, InferResponse, Tensor
from bento.inference.protocol.classification import classify


@dataclass(frozen=True, slots=True)
class OutputDelivery:
    """How one output travels back."""

    binary: bool = False
    class_count: int = 0
    """Above 0: as the classes of the highest values instead of the tensor."""
    place: memoryview | None = None
    """Where it is written to: part of a registered shared memory region."""


IN_JSON, IN_BINARY = OutputDelivery(), OutputDelivery(binary=True)


@dataclass(slots=True)
class DecodedRequest:
    """A request as the wire carried it: what the engine is asked, and how its answer travels back."""

    request: InferRequest
    deliveries: dict[str, OutputDelivery] = field(default_factory=dict)
    default_delivery: OutputDelivery = IN_JSON
    """For outputs that `deliveries` does not name."""
    misfit: str | None = None
    """What is wrong with the last input whose bytes do not fill its shape (Triton goes from the last to the first).

    The request holds a stand-in for it and must not run. Only the text is stored: the exception would hold the frame
    that raised it, and with it views into shared memory.
    """

    def delivery(self, output: str) -> OutputDelivery:
        """How `output` travels back."""
        return self.deliveries.get(output, self.default_delivery)

    @property
    def wants_classes(self) -> bool:
        """Whether any output is asked for as classes."""
        return any(delivery.class_count for delivery in self.deliveries.values())


Labels = Callable[[str], Sequence[str] | None]
"""Name of an output → its class labels, None where it has none."""


def with_classes(response: InferResponse, decoded: DecodedRequest, labels: Labels, batched: bool) -> InferResponse:
    """The response with those outputs classified that the request asked for as classes. Raises: InvalidRequest."""
    outputs: dict[str, Tensor] = {}
    for name, tensor in response.outputs.items():
        class_count = decoded.delivery(name).class_count
        outputs[name] = classify(tensor, class_count, labels(name), batched) if class_count else tensor
    response.outputs = outputs
    return response
