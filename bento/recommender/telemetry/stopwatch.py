"""Stage times of one request."""

from __future__ import annotations

import time


class Stopwatch:
    """Laps in milliseconds, by name."""

    __slots__ = ("_last_ns", "_start_ns", "laps_ms")

    def __init__(self) -> None:
        self._start_ns = self._last_ns = time.perf_counter_ns()
        self.laps_ms: dict[str, float] = {}

    def lap(self, stage: str) -> None:
        """End a stage; the next one begins."""
        now_ns = time.perf_counter_ns()
        self.laps_ms[stage] = round((now_ns - self._last_ns) / 1e6, 3)
        self._last_ns = now_ns

    def add(self, laps_ms: dict[str, float]) -> None:
        """Add the laps of another watch, which timed a part of the same request."""
        self.laps_ms |= laps_ms

    def finish(self) -> dict[str, float]:
        """All laps, and `total`."""
        self.laps_ms["total"] = round((time.perf_counter_ns() - self._start_ns) / 1e6, 3)
        return self.laps_ms
