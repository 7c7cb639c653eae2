"""The last word on the order: less of the same, and more that is new. Pure: arrays in, arrays out.

Maximal marginal relevance: each place goes to the film with the best `(1 - diversity) * merit - diversity * likeness`,
likeness being that to the likest film already placed. Scores stay what the sources gave, so that contributions
still add up; with diversity or freshness the order is no longer theirs alone.
Source: J. Carbonell and J. Goldstein, "The use of MMR, diversity-based reranking", 1998.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from bento.recommender.ranking.candidates import Ranked
from bento.release.film_table import FilmTable

Rows = npt.NDArray[np.int64]
Float32 = npt.NDArray[np.float32]

PLACES = 100
"""Places that are given anew; whoever asks for more gets the rest by score."""

FILMS_PER_PLACE = 5
"""Candidates per place: with diversity 0.3 hardly any film comes from beyond them."""

FEWEST, LARGEST_POOL = 50, 300

FRESHNESS_HALF_LIFE_YEARS = 5.0


def pool_size(top_k: int) -> int:
    """How many candidates reordering top_k places takes; at least top_k."""
    return max(top_k, min(FILMS_PER_PLACE * top_k, LARGEST_POOL), FEWEST)


def recency(films: FilmTable) -> Float32:
    """(N,) 1 for films of the catalogue's newest year, halved every five years before; 0 where no year is known."""
    years = np.array([film.year or -np.inf for film in films.catalog.films])
    newest = years.max(initial=0)
    return np.exp2((years - newest) / FRESHNESS_HALF_LIFE_YEARS).astype(np.float32)


def rerank(
    ranked: Ranked,
    diversity: float,
    freshness: float,
    recent: Float32,
    likeness: Callable[[Rows, Rows], Float32],
    top_k: int,
) -> Ranked:
    """top_k films in their new order.

    diversity: 0 = by merit alone, 1 = by unlikeness alone. freshness: what a film of the newest year gains, in spans
    between the best and the worst score of the pool. recent: (N,) from `recency`. likeness: (A,), (B,) -> (A, B),
    -1..1.
    """
    n_films = len(ranked.rows)
    if n_films < 2:
        return ranked
    span = float(ranked.scores.max() - ranked.scores.min()) or 1.0
    merit = (ranked.scores - ranked.scores.min()) / span + freshness * recent[ranked.rows]
    if diversity == 0:
        return ranked.at(np.argsort(-merit, kind="stable")[:top_k])
    alike = np.maximum(likeness(ranked.rows, ranked.rows), 0)
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
