"""Cold start: the list for a person without a history. Popular films, spread over genres; chosen genres come first."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from bento.recommender.ranking.trending import Trending
from bento.recommender.retrieval.release_search import Ranked
from bento.release.film_table import FilmTable
from bento.release.loading import Release
from bento.stores.person import PersonState
from features.sources import SOURCES

POOL = 200
"""The most popular films, which are mixed by genre; the films behind them follow by popularity alone."""

MEMORY = 10
"""The number of films before a place that its genres are compared with."""

DIVERSITY = 0.5
"""How much popularity (1 = the most popular, 0 = the end of the pool) a film gives up when the last `MEMORY`
films all had its genres. At 0.5 the first ten of the embedded sample cover most genres and stay in the top 100."""


def popular_and_diverse(
    popularity: npt.NDArray[np.float32], genre_matrix: npt.NDArray[np.float32]
) -> npt.NDArray[np.int64]:
    """All rows in the order of the list for a person without a history.

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
    """An order with the films of any of these genres (columns of genre_matrix) moved to the front and mixed there."""
    matching = order[genre_matrix[order][:, list(genres)].any(axis=1)]
    mixed = matching[popular_and_diverse(popularity[matching], genre_matrix[matching])]
    return np.concatenate([mixed, order[~np.isin(order, matching)]])


def as_ranked(order: npt.NDArray[np.int64], n_films: int) -> Ranked:
    """An order as ranked films: the score falls from 1 for the first towards 0, all of it from popularity."""
    scores = (1 - np.arange(len(order), dtype=np.float32) / n_films).astype(np.float32)
    contributions = np.zeros((len(order), len(SOURCES)), dtype=np.float32)
    contributions[:, SOURCES.index("popularity")] = scores
    return Ranked(order, scores, contributions)


class ColdStart:
    """Lists for people without a history; computed again when the films or their popularity have changed."""

    def __init__(self, release: Release, trending: Trending | None = None) -> None:
        """`trending` None: popularity is the release's."""
        self._release = release
        self._trending = trending
        self._computed: tuple[FilmTable, int, npt.NDArray[np.int64]] | None = None

    def popular(self) -> Ranked:
        """All films that may be shown, for any person."""
        return as_ranked(self._order(), len(self._release.catalog))

    def for_person(self, state: PersonState) -> Ranked:
        """The same, with films of the genres that the person chose first."""
        if not state.genres:
            return self.popular()
        films = self._release.films
        order = chosen_genres_first(self._order(), state.genres, self._popularity(films), films.catalog.genre_matrix)
        return as_ranked(order, len(films.catalog))

    def _order(self) -> npt.NDArray[np.int64]:
        films, revision = self._release.films, self._trending.revision if self._trending else 0
        if self._computed is None or self._computed[0] is not films or self._computed[1] != revision:
            order = popular_and_diverse(self._popularity(films), films.catalog.genre_matrix)
            self._computed = films, revision, order[films.visible[order]]
        return self._computed[2]

    def _popularity(self, films: FilmTable) -> npt.NDArray[np.float32]:
        return films.popularity if self._trending is None else self._trending.popularity(films)
