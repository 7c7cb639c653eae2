"""Which requests run inline on the event loop: those whose shape is known to be executed in microseconds."""

from __future__ import annotations

from collections.abc import Hashable

INLINE_LIMIT_NS = 60_000
"""Below this an execution may take place on the event loop. Handing over to a thread and back takes 10-20 us of
latency (measured on 2 cores); a loop that stands still for 60 us is no later than with one more HTTP request."""
SPAN_NS, MAX_PER_SPAN = 1_000_000, 16
"""Executions on the loop per millisecond, so that it has time for other things and long queues are batched."""
_MAX_SHAPES = 256
_WAIT_SHARE = 16
"""An execution that computes for less than this part of its time waits for something of its own: that counts too."""


def busy_ns(computed_ns: int, elapsed_ns: int) -> int:
    """How long an execution kept its thread busy: what it computed, without waits for a core or the interpreter.

    Beside gRPC's own threads on a busy machine these waits are half of a quick execution: taken for the model's own,
    they would drive it off the loop, where it waits longer still.
    """
    return max(computed_ns, elapsed_ns // _WAIT_SHARE)


class InlinePolicy:
    """An estimate of the time of each shape: a slower execution moves it a quarter of the way, a faster one an eighth.

    None counts as slower than twice the limit, so that only the third slow one in a row takes a quick model off the
    loop.
    """

    def __init__(self) -> None:
        self._recent_ns: dict[tuple[int, Hashable], int] = {}
        self._span_began_ns = 0
        self._this_span = 0

    def may_run_inline(self, rows: int, shape: Hashable, now_ns: int) -> bool:
        """Whether to execute on the loop now; counts the execution when True."""
        if now_ns - self._span_began_ns >= SPAN_NS:
            self._span_began_ns, self._this_span = now_ns, 0
        if self._this_span >= MAX_PER_SPAN or not self.is_fast(rows, shape):
            return False
        self._this_span += 1
        return True

    def note(self, rows: int, shape: Hashable, took_ns: int) -> None:
        """A single request of this shape took so long."""
        key = (rows, shape)
        if len(self._recent_ns) >= _MAX_SHAPES and key not in self._recent_ns:
            self._recent_ns.clear()
        took_ns = min(took_ns, 2 * INLINE_LIMIT_NS)
        known_ns = self._recent_ns.get(key)
        if known_ns is None:
            self._recent_ns[key] = took_ns
        elif took_ns > known_ns:
            self._recent_ns[key] = known_ns + ((took_ns - known_ns) >> 2)
        else:
            self._recent_ns[key] = max(took_ns, known_ns - (known_ns >> 3))

    def is_fast(self, rows: int, shape: Hashable) -> bool:
        """Whether it is known to be fast; a shape that was not seen yet is not."""
        return self._recent_ns.get((rows, shape), INLINE_LIMIT_NS) < INLINE_LIMIT_NS
