"""Ranked films and histories, written in one line."""

from __future__ import annotations

import numpy as np

from bento.recommender.retrieval.candidates import Ranked
from features.history import WatchHistory
from features.sources import SOURCES


def ranked(*pairs: tuple[int, float]) -> Ranked:
    """Rows with scores; each row's contribution is its score, all from the first source."""
    rows = np.array([row for row, _ in pairs], dtype=np.int64)
    scores = np.array([score for _, score in pairs], dtype=np.float32)
    contributions = np.zeros((len(pairs), len(SOURCES)), dtype=np.float32)
    contributions[:, 0] = scores
    return Ranked(rows, scores, contributions)


def history(
    *rows: int, ratings: tuple[float, ...] | None = None, times_s: tuple[int, ...] | None = None
) -> WatchHistory:
    """A history of these rows; unrated and at second 0 where nothing else is given."""
    return WatchHistory(
        np.array(rows, dtype=np.int64),
        np.array(ratings or [0] * len(rows), dtype=np.float32),
        np.array(times_s or [0] * len(rows), dtype=np.int64),
    )
