"""Recent answers of one process: stage times, fallbacks, and the values that drift is measured on.

Counters since the start, and windows of the newest values. Recording an answer takes a microsecond or two; everything
slower is done when a report is made (`monitor`).
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

LATENCY_WINDOW = 5_000
"""Newest times per stage that percentiles are computed from."""

DRIFT_WINDOW = 5_000
"""Newest lists that are compared with the release's reference."""

PERCENTILES = (50, 95, 99)


@dataclass(frozen=True, slots=True)
class ListFacts:
    """The values that drift is measured on, of one hybrid list with the release's own weights and no filters."""

    history_length: float
    """Inputs: films of the history."""
    history_popularity: float
    """Inputs: mean popularity rank of those films, 1 = the most popular film, 0 = the least."""
    score: float
    """The best film's."""
    popularity: float
    """Mean popularity rank of the films of the list."""

    @staticmethod
    def of(
        history_rows: npt.NDArray[np.int64],
        rows: npt.NDArray[np.int64],
        scores: npt.NDArray[np.float32],
        popularity_ranks: npt.NDArray[np.float32],
    ) -> ListFacts:
        """The facts of one list; neither the history nor the list is empty."""
        known = history_rows[history_rows < len(popularity_ranks)]
        shown = rows[rows < len(popularity_ranks)]
        return ListFacts(
            len(history_rows),
            float(popularity_ranks[known].mean()) if len(known) else 0.5,
            float(scores.max()),
            float(popularity_ranks[shown].mean()) if len(shown) else 0.5,
        )


@dataclass(slots=True)
class Observations:
    """Of one process, since its start."""

    answers: int = 0
    cache: Counter[str] = field(default_factory=Counter)
    """hit, stale, miss, broken."""
    strategies: Counter[str] = field(default_factory=Counter)
    """Of computed answers."""
    degraded: Counter[str] = field(default_factory=Counter)
    """Answers with a missing part, by part."""
    lists: deque[ListFacts] = field(default_factory=lambda: deque(maxlen=DRIFT_WINDOW))
    _stages_ms: dict[str, deque[float]] = field(default_factory=dict)

    def note(self, timings_ms: Mapping[str, float], degraded: Iterable[str]) -> None:
        """Record one answer."""
        self.answers += 1
        for stage, elapsed_ms in timings_ms.items():
            window = self._stages_ms.get(stage)
            if window is None:
                window = self._stages_ms[stage] = deque(maxlen=LATENCY_WINDOW)
            window.append(elapsed_ms)
        for part in degraded:
            self.degraded[part] += 1

    def latency_ms(self) -> dict[str, dict[str, float]]:
        """Stage -> p50, p95, p99 of its newest times, in milliseconds, and how many they are (`n`)."""
        return {
            stage: {"n": len(window)}
            | {f"p{q}": round(float(value), 3) for q, value in zip(PERCENTILES, _percentiles(window), strict=True)}
            for stage, window in self._stages_ms.items()
        }


def _percentiles(values: Iterable[float]) -> npt.NDArray[np.float64]:
    found: npt.NDArray[np.float64] = np.percentile(np.fromiter(values, dtype=np.float64), PERCENTILES)
    return found
