"""The model `hybrid`: what it is asked, and what its answer means. Pure.

It finds in one inference what the models one by one find in seven; `candidates` decides which way is taken.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from bento.recommender.retrieval.release_search import Ranked
from features.history import WatchHistory, history_tensors
from features.sources import SOURCES

Float32 = npt.NDArray[np.float32]
Rows = npt.NDArray[np.int64]

HYBRID = "hybrid"

NO_ROW = -1
"""Padding of rows, and the row of a place without a film."""

SHORTEST_PADDED = 64
GROWTH = 4
"""Excluded rows are padded to 64, 256, 1,024, ...: only equal lengths share a batch."""


@dataclass(frozen=True, slots=True)
class HybridQuestion:
    """What is asked of the films of a release."""

    history: WatchHistory
    weights: Float32
    """(S,) as wanted; sources that fail are left out by the model."""
    k: int
    explain: bool
    """Whether contributions are needed."""
    excluded_rows: Rows
    allowed_rows: Rows | None
    """None = all."""

    def inputs(self, n_films: int) -> dict[str, npt.NDArray[Any]]:
        """Of the model, for a release of N films; rows outside the release are left out."""
        allowed = np.ones((1, 1), dtype=bool)
        if self.allowed_rows is not None:
            allowed = np.zeros((1, n_films), dtype=bool)
            allowed[0, self.allowed_rows[self.allowed_rows < n_films]] = True
        return {
            **history_tensors([self.history]),
            "weights": self.weights[np.newaxis],
            "top_k": np.array([[self.k]], dtype=np.int32),
            "explain": np.array([[self.explain]]),
            "excluded_rows": _padded(self.excluded_rows[self.excluded_rows < n_films]),
            "allowed": allowed,
        }


@dataclass(frozen=True, slots=True)
class HybridAnswer:
    """What the model found."""

    released: Ranked
    """The best films of the release; contributions are zeros where they were not asked for."""
    query: Float32
    """(D,) the person in the fused space."""
    used: Float32
    """(S,) 1 for sources that gave finite values, else 0."""

    @property
    def missing(self) -> list[str]:
        """Sources that gave others."""
        return [source for source, used in zip(SOURCES, self.used.tolist(), strict=True) if not used]


def hybrid_answer(outputs: dict[str, npt.NDArray[Any]], explain: bool) -> HybridAnswer:
    """The model's outputs for one person. Others in the batch may have asked for more films, or for contributions."""
    rows = outputs["rows"][0]
    found = rows != NO_ROW
    scores = outputs["scores"][0][found]
    contributions = np.zeros((len(scores), len(SOURCES)), dtype=np.float32)
    if explain:
        contributions = outputs["contributions"][0][found]
    released = Ranked(rows[found], scores, contributions)
    return HybridAnswer(released, outputs["query"][0], outputs["used"][0].astype(np.float32))


def _padded(rows: Rows) -> Rows:
    """(1, L) the rows, and padding behind them."""
    length = SHORTEST_PADDED
    while length < len(rows):
        length *= GROWTH
    padded = np.full((1, length), NO_ROW, dtype=np.int64)
    padded[0, : len(rows)] = rows
    return padded
