"""Prepared requests: a repeated kind of request is answered from memory bound to the model, without decoding.

A kind is all requests that differ in nothing but the bytes of their tensors. The first requests of a kind take the
ordinary way, which shows what they ask for and what the answer looks like. After that the request's bytes are copied
into bound memory, the model runs once, and the answer's bytes are copied out. Each time is checked whether an instance
is idle and whether the model is fast enough for the event loop. A server that gets a request only now and then runs on
cold caches, where the steps that are left out cost three to five times what they cost in a loop. Event loop only.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from time import monotonic_ns

from bento.inference.backends.interface import BoundRun, Instance
from bento.inference.core.messages import InferRequest, InferResponse, RequestTiming
from bento.inference.models.statistics import ModelStatistics
from bento.inference.scheduling.inline_policy import INLINE_LIMIT_NS, InlinePolicy

MAX_PER_MODEL, MAX_BYTES = 32, 16 << 10
"""Kinds of requests, and bytes of all tensors of one: at most 512 KB for a model. Larger ones gain little."""
PREPARE_AFTER = 8
"""Requests of a kind that take the ordinary way first: preparing takes some 100 us."""
_MAX_COUNTED = 256


@dataclass(frozen=True, slots=True)
class WireForm:
    """Where a kind of request carries its tensors, and its answer's bytes but for them."""

    key: bytes
    """What all such requests have in common; no other kind to the same model has it."""
    starts: Sequence[int]
    """Where the bytes of each input begin, in the order of the request's inputs."""
    between: Sequence[bytes]
    """What stands before each output."""


class PreparedRequest:
    """One kind of request to one model."""

    __slots__ = (
        "_end",
        "_idle_instance",
        "_in_doubt",
        "_inline_policy",
        "_inputs",
        "_pieces",
        "_rows",
        "_run",
        "_shape",
        "_statistics",
    )  # fmt: skip

    def __init__(
        self,
        fixed: BoundRun,
        wire: WireForm,
        rows: int,
        shape: Hashable,
        idle_instance: Callable[[], Instance | None],
        inline_policy: InlinePolicy,
        statistics: ModelStatistics,
    ) -> None:
        ends = [start + len(room) for start, room in zip(wire.starts, fixed.inputs, strict=True)]
        self._inputs = tuple(zip(fixed.inputs, wire.starts, ends, strict=True))
        self._end = max(ends)
        self._pieces: list[bytes | memoryview] = [b""]
        for constant, room in zip(wire.between, fixed.outputs, strict=True):
            self._pieces += (constant, room)
        self._run = fixed.run
        self._rows, self._shape = rows, shape
        self._idle_instance, self._inline_policy, self._statistics = idle_instance, inline_policy, statistics
        self._in_doubt = False

    def answer(self, data: bytes, base: int, beginning: bytes) -> bytes | None:
        """`beginning` and the answer to a request whose tensors stand in `data` from `base` on.

        None: it takes the ordinary way this time.
        """
        started_ns = monotonic_ns()
        if self._in_doubt or len(data) - base != self._end or self._idle_instance() is None:
            self._in_doubt = False
            return None
        if not self._inline_policy.may_run_inline(self._rows, self._shape, started_ns):
            return None
        begun_ns = monotonic_ns()
        for room, start, end in self._inputs:
            room[:] = data[base + start : base + end]
        ready_ns = monotonic_ns()
        try:
            self._run()
        except Exception:  # the ordinary way reports what is wrong
            self._in_doubt = True
            return None
        inferred_ns = monotonic_ns()
        self._pieces[0] = beginning
        answer = b"".join(self._pieces)
        ended_ns = monotonic_ns()
        if ended_ns - begun_ns < INLINE_LIMIT_NS:
            self._inline_policy.note(self._rows, self._shape, ended_ns - begun_ns)
        else:
            self._in_doubt = True  # slow or delayed: the next one takes the ordinary way
        input_ns, infer_ns, output_ns = ready_ns - begun_ns, inferred_ns - ready_ns, ended_ns - inferred_ns
        rows, timing = self._rows or 1, RequestTiming(begun_ns - started_ns, input_ns, infer_ns, output_ns)
        self._statistics.add_execution(rows, input_ns, infer_ns, output_ns)
        self._statistics.add_success(ended_ns - started_ns, timing, rows)
        return answer


class PreparedRequests:
    """The prepared requests of one model."""

    def __init__(self) -> None:
        self._ready: dict[bytes, PreparedRequest] = {}
        self._counts: dict[bytes, int] = {}
        self.get = self._ready.get
        """The prepared request of a kind, by its key; None when there is none."""

    def is_due(self, key: bytes) -> bool:
        """Count an ordinary request of this kind; True for the one after which it is to be prepared."""
        if len(self._ready) >= MAX_PER_MODEL:
            return False
        if len(self._counts) >= _MAX_COUNTED and key not in self._counts:
            self._counts.clear()
        count = self._counts[key] = self._counts.get(key, 0) + 1
        return count == PREPARE_AFTER

    def add(self, key: bytes, prepared: PreparedRequest) -> None:
        """Add a prepared request."""
        self._ready[key] = prepared

    def clear(self) -> None:
        """Drop all of them, with the memory that they hold."""
        self._ready.clear()


def is_plain(request: InferRequest, response: InferResponse) -> bool:
    """Whether answers to such requests differ in nothing but the bytes of small tensors of fixed width."""
    tensors = [*request.inputs.values(), *response.outputs.values()]
    return (
        not (request.id or request.parameters or response.parameters)
        and request.sequence is None
        and all(tensor.dtype.isbuiltin == 1 and tensor.dtype.kind in "biuf" and tensor.size > 0 for tensor in tensors)
        and sum(tensor.nbytes for tensor in tensors) <= MAX_BYTES
    )
