"""Fallbacks of the hybrid: what is recommended when fusion or retrieval cannot answer. Pure.

In this order: item-to-item candidates, content profile, genre popularity. Each gives a full list that follows the
person's history, and the last one always can; popularity alone is for people without a history (`cold_start`).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from bento.recommender.ranking.selection import followed_by
from bento.recommender.retrieval.candidates import Encoded
from bento.recommender.retrieval.release_search import Ranked
from features.history import WatchHistory
from features.sources import NEIGHBOUR_SOURCE, SOURCES
from features.thresholds import NEUTRAL_STARS


def best_without_retrieval(
    encoded: Encoded, text_vectors: npt.NDArray[np.float32], by_genre: Ranked, k: int
) -> tuple[str, Ranked]:
    """The best fallback that is available and its k films, filled up by genre popularity.

    text_vectors: (N, 128) centred. by_genre: all films, from `genre_popularity`.
    """
    if encoded.neighbour_rows is not None and encoded.neighbour_scores is not None:
        known = encoded.neighbour_rows >= 0
        if known.any():
            first = _ranked(encoded.neighbour_rows[known], encoded.neighbour_scores[known], NEIGHBOUR_SOURCE, k)
            return "item_to_item", followed_by(first, by_genre, k)
    profile = encoded.embeddings.get("text")
    if profile is not None and np.any(profile):
        scores = (text_vectors @ profile[0]).astype(np.float32)
        return "content", _ranked(np.arange(len(scores)), scores, "text", k)
    return "genre_popularity", Ranked(by_genre.rows[:k], by_genre.scores[:k], by_genre.contributions[:k])


def genre_popularity(
    history: WatchHistory, popularity: npt.NDArray[np.float32], genre_matrix: npt.NDArray[np.float32]
) -> Ranked:
    """All films, by popularity among the genres of the history.

    A film's score is its popularity (1 = most popular) times 1 + the cosine of its genres with the liked ones.
    """
    ratings = np.where(history.ratings > 0, history.ratings, NEUTRAL_STARS)
    liked = np.maximum(ratings - NEUTRAL_STARS + 1, 0) @ genre_matrix[history.item_rows]
    lengths = np.linalg.norm(genre_matrix, axis=1) * np.linalg.norm(liked)
    overlap = np.divide(genre_matrix @ liked, lengths, out=np.zeros(len(popularity)), where=lengths > 0)
    ranks = np.empty(len(popularity), dtype=np.int64)
    ranks[np.argsort(-popularity, kind="stable")] = np.arange(len(popularity))
    scores = ((1 - ranks / len(popularity)) * (1 + overlap)).astype(np.float32)
    return _ranked(np.arange(len(scores)), scores, "popularity", len(scores))


def _ranked(rows: npt.NDArray[np.integer], scores: npt.NDArray[np.float32], source: str, k: int) -> Ranked:
    """The k best of some scored rows, all of the score from one source. Ties keep their order."""
    best = np.argsort(-scores, kind="stable")[:k]
    contributions = np.zeros((len(best), len(SOURCES)), dtype=np.float32)
    contributions[:, SOURCES.index(source)] = scores[best]
    return Ranked(rows[best].astype(np.int64), scores[best].astype(np.float32), contributions)
