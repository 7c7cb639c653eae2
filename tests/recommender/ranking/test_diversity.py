"""Diversity and freshness, against orders worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from bento.recommender.ranking.diversity import diversify, pool_size, recency
from bento.recommender.retrieval.candidates import Ranked
from bento.release.film_table import FilmTable
from features.catalog import Catalog, Film
from features.sources import SOURCES

NO_RECENCY = np.zeros(10, dtype=np.float32)


def ranked(*scores: float) -> Ranked:
    values = np.array(scores, dtype=np.float32)
    return Ranked(np.arange(len(values)), values, np.zeros((len(values), len(SOURCES)), dtype=np.float32))


def twins(rows: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Films 0 and 1 are alike, 2 and 3 are alike; no others."""
    return (rows[:, None] // 2 == others[None, :] // 2).astype(np.float32)


def order(diversity: float, freshness: float = 0.0, recent: np.ndarray = NO_RECENCY, top_k: int = 4) -> list[int]:
    return diversify(ranked(1.0, 0.9, 0.8, 0.0), diversity, freshness, recent, twins, top_k).rows.tolist()


def test_without_diversity_the_scores_decide() -> None:
    assert order(0.0) == [0, 1, 2, 3]


def test_diversity_puts_the_unlike_film_before_the_like_one() -> None:
    # After film 0: film 1 is worth .7 * .9 - .3 = .33, film 2 .7 * .8 = .56. Then film 1 before film 3 (0 - .3).
    assert order(0.3) == [0, 2, 1, 3]


def test_full_diversity_never_places_two_alike_while_there_are_others() -> None:
    first, second = order(1.0, top_k=2)
    assert {first // 2, second // 2} == {0, 1}


def test_fewer_places_are_the_beginning_of_the_same_order() -> None:
    assert order(0.3, top_k=2) == [0, 2]


def test_freshness_lifts_recent_films() -> None:
    recent = np.array([0, 0, 1, 0], dtype=np.float32)
    # Film 2: .8 + .25 = 1.05, before film 0 with 1.
    assert order(0.0, 0.25, recent) == [2, 0, 1, 3]
    assert order(0.0, 0.15, recent) == [0, 2, 1, 3]


def test_scores_stay_what_the_sources_gave() -> None:
    reordered = diversify(ranked(1.0, 0.9, 0.8, 0.0), 0.3, 0.0, NO_RECENCY, twins, 3)
    assert reordered.scores.tolist() == pytest.approx([1.0, 0.8, 0.9])


@pytest.mark.parametrize("scores", [(), (0.5,), (0.5, 0.5, 0.5)])
def test_nothing_or_equal_scores_are_no_trouble(scores: tuple[float, ...]) -> None:
    assert sorted(diversify(ranked(*scores), 0.5, 0.5, NO_RECENCY, twins, 3).rows.tolist()) == list(range(len(scores)))


def test_recency_halves_every_five_years_and_is_0_where_the_year_is_not_known() -> None:
    films = Catalog([Film(1, "a", 2020), Film(2, "b", 2015), Film(3, "c", 2000), Film(4, "d", None)])
    table = FilmTable(films, np.zeros(4, np.float32), np.zeros((4, 1), np.float32), None, 4)
    assert recency(table).tolist() == pytest.approx([1, 0.5, 0.0625, 0])


def test_the_pool_holds_more_than_is_asked_for_and_stays_small() -> None:
    assert [pool_size(top_k) for top_k in (1, 10, 20, 100, 1_000)] == [50, 50, 100, 300, 1_000]
