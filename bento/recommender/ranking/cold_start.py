"""What somebody sees of whom nothing is known: popular films, no two in a row of the same kind. Pure."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from bento.recommender.ranking.candidates import Ranked
from features.sources import SOURCES

POOL = 200
"""Only the most popular films are mixed; beyond them the list goes on by popularity alone."""

MEMORY = 10
"""How many films back a genre counts as shown already."""

DIVERSITY = 0.5
"""How much popularity (1 = the most popular, 0 = the end of the pool) a film gives up when the last `MEMORY`
films all had its genres. At 0.5 the first ten of the embedded sample cover most genres and stay in the top 100."""


def popular_and_diverse(
    popularity: npt.NDArray[np.float32], genre_matrix: npt.NDArray[np.float32]
) -> npt.NDArray[np.int64]:
    """All rows in the order a stranger sees them.

    popularity: (N,); genre_matrix: (N, G) 0/1. Ties keep catalogue order. Returns (N,).
    """
    by_popularity = np.argsort(-popularity, kind="stable").astype(np.int64)
    pool = by_popularity[:POOL]
    merit = np.linspace(1, 0, len(pool), dtype=np.float32)
    genres = genre_matrix[pool]
    per_film = np.maximum(genres.sum(axis=1), 1)
    left = np.ones(len(pool), dtype=bool)
    chosen: list[int] = []
    for _ in range(len(pool)):  # greedy: every choice depends on the ones before
        shown = genres[chosen[-MEMORY:]].sum(axis=0) / MEMORY
        worth = merit - DIVERSITY * (genres @ shown) / per_film
        best = int(np.argmax(np.where(left, worth, -np.inf)))
        left[best] = False
        chosen.append(best)
    return np.concatenate([pool[chosen], by_popularity[POOL:]])


def chosen_genres_first(
    order: npt.NDArray[np.int64],
    genres: Sequence[int],
    popularity: npt.NDArray[np.float32],
    genre_matrix: npt.NDArray[np.float32],
) -> npt.NDArray[np.int64]:
    """An order with the films that have any of these genres (columns of genre_matrix) first, mixed among themselves."""
    matching = order[genre_matrix[order][:, list(genres)].any(axis=1)]
    mixed = matching[popular_and_diverse(popularity[matching], genre_matrix[matching])]
    return np.concatenate([mixed, order[~np.isin(order, matching)]])


def as_ranked(order: npt.NDArray[np.int64], n_films: int) -> Ranked:
    """An order as ranked films: the score falls from 1 for the first towards 0, all of it from popularity."""
    scores = (1 - np.arange(len(order), dtype=np.float32) / n_films).astype(np.float32)
    contributions = np.zeros((len(order), len(SOURCES)), dtype=np.float32)
    contributions[:, SOURCES.index("popularity")] = scores
    return Ranked(order, scores, contributions)
