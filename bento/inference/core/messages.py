"""One inference request and its answer, as every front end and every backend sees them.

Tensors are NumPy arrays. BYTES is an object array whose elements are `bytes`; BF16 is `ml_dtypes.bfloat16`.
The batch axis is the first axis of every tensor of a model whose `max_batch_size` is above 0.
The protocol modules read these from JSON, HTTP bodies and protobuf.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy.typing as npt

from bento.inference.core.errors import InferenceError

Parameter = bool | int | float | str
Parameters = dict[str, Parameter]
Tensor = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class SequenceControl:
    """Which sequence a request belongs to, and whether it opens or closes it."""

    id: int | str
    start: bool = False
    end: bool = False


@dataclass(slots=True)
class InferRequest:
    """What a client asks of one model."""

    model_name: str
    inputs: dict[str, Tensor]
    model_version: str = ""
    """Empty: the highest version that is ready."""
    requested_outputs: tuple[str, ...] = ()
    """Empty: all outputs of the model."""
    id: str = ""
    parameters: Parameters = field(default_factory=dict)
    priority: int = 0
    """0 means the model's `default_priority_level`; 1 is the most urgent."""
    timeout_us: int = 0
    """How long the request may queue, where the model's queue policy allows an override; 0 means not given."""
    deadline_ns: int | None = None
    """`time.monotonic_ns()` after which the client no longer waits for the answer."""
    sequence: SequenceControl | None = None


@dataclass(slots=True)
class RequestTiming:
    """How long one request spent in each part of the model that answered it, in nanoseconds."""

    queue_ns: int = 0
    compute_input_ns: int = 0
    compute_infer_ns: int = 0
    compute_output_ns: int = 0


@dataclass(slots=True)
class InferResponse:
    """What a model answered."""

    model_name: str
    model_version: str
    id: str
    outputs: dict[str, Tensor]
    parameters: Parameters = field(default_factory=dict)
    timing: RequestTiming = field(default_factory=RequestTiming)
    final: bool = True
    """False when a decoupled model may send more, or ends the stream without a further response."""
    error: InferenceError | None = None
    """Set on a response of a decoupled model that says what went wrong, and goes on; `outputs` is empty then."""
