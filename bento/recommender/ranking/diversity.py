"""Diversity and freshness: the final order of a list, with fewer similar films and more new ones. Pure.

Maximal marginal relevance: each place goes to the film with the best
`(1 - diversity) * merit - diversity * similarity`, where similarity is that to the most similar film placed so far. The
scores stay those of the sources, so that contributions still add up to them, though the order is no longer by score.
Source: J. Carbonell and J. Goldstein, "The use of MMR, diversity-based reranking", 1998.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from bento.recommender.retrieval.release_search import Ranked
from bento.release.film_table import FilmTable

Rows = npt.NDArray[np.int64]
Float32 = npt.NDArray[np.float32]

PLACES = 100
"""Places that are filled by diversity; the places behind them are filled by merit."""

FILMS_PER_PLACE = 5
"""Candidates per place: with diversity 0.3 hardly any film is taken from further down."""

FEWEST, LARGEST_POOL = 50, 300

FRESHNESS_HALF_LIFE_YEARS = 5.0


def pool_size(top_k: int) -> int:
    """How many candidates are needed to fill top_k places; at least top_k."""
    return max(top_k, min(FILMS_PER_PLACE * top_k, LARGEST_POOL), FEWEST)


def recency(films: FilmTable) -> Float32:
    """(N,) 1 for films of the catalogue's newest year, halved every five years before; 0 where no year is known."""
    years = np.array([film.year or -np.inf for film in films.catalog.films])
    newest = years.max(initial=0)
    return np.exp2((years - newest) / FRESHNESS_HALF_LIFE_YEARS).astype(np.float32)


def diversify(
    ranked: Ranked,
    diversity: float,
    freshness: float,
    recent: Float32,
    similarity: Callable[[Rows, Rows], Float32],
    top_k: int,
) -> Ranked:
    """top_k films in their new order.

    diversity: 0 = by merit alone, 1 = by dissimilarity alone. freshness: what a film of the newest year gains, in spans
    between the best and the worst score of the pool. recent: (N,) from `recency`. similarity: (A,), (B,) -> (A, B),
    -1..1.
    """
    n_films = len(ranked.rows)
    if n_films < 2:
        return ranked
    span = float(ranked.scores.max() - ranked.scores.min()) or 1.0
    merit = (ranked.scores - ranked.scores.min()) / span + freshness * recent[ranked.rows]
    if diversity == 0:
        return ranked.at(np.argsort(-merit, kind="stable")[:top_k])
    alike = np.maximum(similarity(ranked.rows, ranked.rows), 0)
    nearest = np.zeros(n_films, dtype=np.float32)
    left = np.ones(n_films, dtype=bool)
    placed: list[int] = []
    for _ in range(min(top_k, PLACES, n_films)):  # greedy: every place depends on those before
        worth = (1 - diversity) * merit - diversity * nearest
        best = int(np.argmax(np.where(left, worth, -np.inf)))
        placed.append(best)
        left[best] = False
        nearest = np.maximum(nearest, alike[best])
    rest = np.flatnonzero(left)
    order = np.concatenate([np.array(placed, dtype=np.int64), rest[np.argsort(-merit[rest], kind="stable")]])
    return ranked.at(order[:top_k])
