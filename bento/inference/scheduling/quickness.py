"""How long a model takes for requests of one shape, so that the quickest need no thread of their own."""

from __future__ import annotations

import asyncio
from collections.abc import Hashable

QUICK_NS = 60_000
"""Below this an execution may take place on the event loop. Handing over to a thread and back takes 10-20 us of
latency (measured on 2 cores); a loop that stands still for 60 us is no later than with one more HTTP request."""
MOST_PER_TURN = 16
"""Executions on the loop between two turns of it, so that it turns at least every millisecond."""
_MOST_SHAPES = 256


class Quickness:
    """Remembers the slowest recent execution of each shape, and forgets it by an eighth with each faster one.

    None counts as slower than twice the limit. On the loop, time spent waiting for a core cannot be told from slowness;
    off it it can (`Execution.busy_ns`), and six quick executions there bring a model back.
    """

    def __init__(self) -> None:
        self._recent_ns: dict[tuple[int, Hashable], int] = {}
        self._this_turn = 0

    def may_run_here(self, rows: int, shape: Hashable, loop: asyncio.AbstractEventLoop) -> bool:
        """Whether to execute on the loop now; counts it as done when it says yes."""
        if self._this_turn >= MOST_PER_TURN or not self.is_quick(rows, shape):
            return False
        if self._this_turn == 0:
            loop.call_soon(self._turned)
        self._this_turn += 1
        return True

    def _turned(self) -> None:
        self._this_turn = 0

    def note(self, rows: int, shape: Hashable, took_ns: int) -> None:
        """A single request of this shape took so long."""
        key = (rows, shape)
        if len(self._recent_ns) >= _MOST_SHAPES and key not in self._recent_ns:
            self._recent_ns.clear()
        known_ns = self._recent_ns.get(key, 0)
        self._recent_ns[key] = max(min(took_ns, 2 * QUICK_NS), known_ns - (known_ns >> 3))

    def is_quick(self, rows: int, shape: Hashable) -> bool:
        """Whether it is known to be quick; what was never seen is not."""
        return self._recent_ns.get((rows, shape), QUICK_NS) < QUICK_NS
