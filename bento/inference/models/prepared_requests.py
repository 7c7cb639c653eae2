"""Requests like an earlier one in all but the bytes of their tensors, with everything about them decided beforehand.

The first ones of a kind go the ordinary way, which finds out what they ask for and what the answer looks like. From
then on such a request is its bytes into memory that is bound to the model, one run, and the answer's bytes out.
What depends on the moment is still looked at each time: whether an instance is free, and whether the model is quick.
A server that gets a request every now and then runs on cold caches, where all that is left out costs three to five
times what it costs in a loop. For the server's loop only.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from time import monotonic_ns

from bento.inference.backends.interface import FixedRun, Instance
from bento.inference.core.messages import InferRequest, InferResponse, RequestTiming
from bento.inference.models.statistics import ModelStatistics
from bento.inference.scheduling.quickness import QUICK_NS, Quickness

MOST_PER_MODEL, MOST_BYTES = 32, 16 << 10
"""Kinds of requests, and bytes of all tensors of one: at most 512 KB for a model. Larger ones gain little."""
REHEARSE_AFTER = 8
"""Requests of a kind that go the ordinary way first: a rehearsal takes some 100 us."""
_MOST_COUNTED = 256


@dataclass(frozen=True, slots=True)
class OnTheWire:
    """Where a kind of request carries its tensors, and its answer's bytes but for them."""

    key: bytes
    """What all such requests have in common; no other kind to the same model has it."""
    starts: Sequence[int]
    """Where the bytes of each input begin, in the order of the request's inputs."""
    between: Sequence[bytes]
    """What stands before each output."""


class Rehearsal:
    """One kind of request to one model."""

    __slots__ = (
        "_at_hand", "_end", "_in_doubt", "_inputs", "_pieces", "_quickness", "_rows", "_run", "_shape", "_statistics",
    )  # fmt: skip

    def __init__(
        self,
        fixed: FixedRun,
        wire: OnTheWire,
        rows: int,
        shape: Hashable,
        at_hand: Callable[[], Instance | None],
        quickness: Quickness,
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
        self._at_hand, self._quickness, self._statistics = at_hand, quickness, statistics
        self._in_doubt = False

    def answer(self, data: bytes, base: int, beginning: bytes) -> bytes | None:
        """`beginning` and the answer to a request whose tensors are looked for in `data` from `base` on.

        None: it takes the ordinary way this time.
        """
        started_ns = monotonic_ns()
        if self._in_doubt or len(data) - base != self._end or self._at_hand() is None:
            self._in_doubt = False
            return None
        if not self._quickness.may_run_here(self._rows, self._shape, started_ns):
            return None
        begun_ns = monotonic_ns()
        for room, start, end in self._inputs:
            room[:] = data[base + start : base + end]
        ready_ns = monotonic_ns()
        try:
            self._run()
        except Exception:  # the ordinary way finds out what is wrong, and words it
            self._in_doubt = True
            return None
        inferred_ns = monotonic_ns()
        self._pieces[0] = beginning
        answer = b"".join(self._pieces)
        ended_ns = monotonic_ns()
        if ended_ns - begun_ns < QUICK_NS:
            self._quickness.note(self._rows, self._shape, ended_ns - begun_ns)
        else:
            self._in_doubt = True  # slow, or held up: the next one goes the ordinary way, which can tell
        input_ns, infer_ns, output_ns = ready_ns - begun_ns, inferred_ns - ready_ns, ended_ns - inferred_ns
        rows, timing = self._rows or 1, RequestTiming(begun_ns - started_ns, input_ns, infer_ns, output_ns)
        self._statistics.add_execution(rows, input_ns, infer_ns, output_ns)
        self._statistics.add_success(ended_ns - started_ns, timing, rows)
        return answer


class Rehearsals:
    """What one model has rehearsed."""

    def __init__(self) -> None:
        self._ready: dict[bytes, Rehearsal] = {}
        self._counts: dict[bytes, int] = {}
        self.get = self._ready.get
        """The rehearsal of a kind of request, by its key; None when there is none."""

    def is_due(self, key: bytes) -> bool:
        """Count an ordinary request of this kind; True for the one that is to be rehearsed."""
        if len(self._ready) >= MOST_PER_MODEL:
            return False
        if len(self._counts) >= _MOST_COUNTED and key not in self._counts:
            self._counts.clear()
        count = self._counts[key] = self._counts.get(key, 0) + 1
        return count == REHEARSE_AFTER

    def add(self, key: bytes, rehearsal: Rehearsal) -> None:
        """Keep it."""
        self._ready[key] = rehearsal

    def clear(self) -> None:
        """Let go of all, and of the memory that they hold."""
        self._ready.clear()


def is_plain(request: InferRequest, response: InferResponse) -> bool:
    """Whether answers to such requests differ in nothing but the bytes of small tensors of fixed width."""
    tensors = [*request.inputs.values(), *response.outputs.values()]
    return (
        not (request.id or request.parameters or response.parameters)
        and request.sequence is None
        and all(tensor.dtype.isbuiltin == 1 and tensor.dtype.kind in "biuf" and tensor.size > 0 for tensor in tensors)
        and sum(tensor.nbytes for tensor in tensors) <= MOST_BYTES
    )
