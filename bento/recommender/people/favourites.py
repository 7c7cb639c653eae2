"""The favourite genres of a person. Pure."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from features import thresholds
from features.catalog import GENRES
from features.history import WatchHistory


def favourite_genres(history: WatchHistory, genre_matrix: npt.NDArray[np.float32], limit: int = 3) -> list[str]:
    """At most `limit` genres, the most unusual first, that are more frequent among liked films than in the catalogue.

    genre_matrix: (N, G) 0/1. Genres are ordered by how far their number of liked films exceeds that of a random draw of
    as many films, in standard deviations of such a draw. Empty when no film was liked.
    """
    liked = history.item_rows[thresholds.liked(history.ratings)]
    counts = genre_matrix[liked].sum(axis=0)
    expected = len(liked) * genre_matrix.mean(axis=0)
    surplus = np.divide(counts - expected, np.sqrt(expected), out=np.zeros_like(expected), where=expected > 0)
    best = np.argsort(-surplus, kind="stable")[:limit]
    return [GENRES[genre] for genre in best.tolist() if surplus[genre] > 0]
