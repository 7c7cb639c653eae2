"""What became of each request, kept without rounding: some 50 bytes a request, an hour at 1,000/s is 180 MB."""

from __future__ import annotations

from collections.abc import Iterable
from enum import IntEnum
from typing import Any

import numpy as np
import numpy.typing as npt

Table = npt.NDArray[np.void]
"""Rows of `COLUMNS`."""

COLUMNS = np.dtype(
    [
        ("intended_s", "f8"),  # when the request was to start, in seconds after the start of the run
        ("latency_ms", "f8"),  # from then to the end of the answer; 0 where nothing was sent
        ("send_lag_ms", "f8"),  # from then to the moment it was sent: the load generator's own delay
        ("phase", "u1"),
        ("kind", "U16"),
        ("outcome", "u1"),
    ]
)

CHUNK_ROWS = 10_000


class Outcome(IntEnum):
    """How a request ended."""

    ANSWERED = 0
    REFUSED = 1
    """With 429 or 503: the server said that it has too much to do."""
    FAILED = 2
    """With any other error, a wrong answer or none in time."""
    NOT_SENT = 3
    """As many requests as may be under way were."""


Row = tuple[float, float, float, int, str, int]


class Samples:
    """Rows of a run, in the order in which they ended."""

    def __init__(self) -> None:
        self._rows: list[Row] = []
        self._chunks: list[Table] = []

    def add(self, rows: Iterable[Row]) -> None:
        """Keep further rows."""
        self._rows += rows
        if len(self._rows) >= CHUNK_ROWS:
            self._pack()

    def take(self) -> list[list[Any]]:
        """All rows as plain lists, which are forgotten here: a worker hands them to the master."""
        table, self._chunks = self.table(), []
        return [list(row) for row in table.tolist()]

    def table(self) -> Table:
        """All rows."""
        self._pack()
        return np.concatenate([np.empty(0, COLUMNS), *self._chunks])

    def _pack(self) -> None:
        self._chunks.append(np.array([tuple(row) for row in self._rows], COLUMNS))
        self._rows = []
