"""The genres that tell a person's taste. Pure."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from features.catalog import GENRES
from features.history import WatchHistory

LIKED_FROM = 3.5
"""Stars; films watched without a rating count as liked too."""


def favourite_genres(history: WatchHistory, genre_matrix: npt.NDArray[np.float32], limit: int = 3) -> list[str]:
    """At most `limit` genres that somebody likes more often than the catalogue offers them, the most telling first.

    genre_matrix: (N, G) 0/1. A genre tells the more, the further its films among the liked ones exceed what
    drawing as many films by chance would give, in standard deviations of such a draw: everybody has seen dramas.
    Empty when nothing was liked.
    """
    liked = history.item_rows[(history.ratings == 0) | (history.ratings >= LIKED_FROM)]
    counts = genre_matrix[liked].sum(axis=0)
    expected = len(liked) * genre_matrix.mean(axis=0)
    surplus = np.divide(counts - expected, np.sqrt(expected), out=np.zeros_like(expected), where=expected > 0)
    best = np.argsort(-surplus, kind="stable")[:limit]
    return [GENRES[genre] for genre in best.tolist() if surplus[genre] > 0]
