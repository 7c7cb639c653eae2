"""The order of films for people without a history. Expected values are worked out by hand."""

from __future__ import annotations

import numpy as np

from bento.recommender.ranking.cold_start import as_ranked, popular_and_diverse
from features.sources import SOURCES


def test_a_much_more_popular_film_stays_ahead_of_another_genre() -> None:
    popularity = np.array([10, 9, 8, 7], dtype=np.float32)
    genres = np.array([[1, 0], [1, 0], [0, 1], [0, 1]], dtype=np.float32)
    # Merits are 1, 2/3, 1/3, 0. After row 0: row 1 loses 0.5 * 0.1 = 0.05 and stays ahead: 0.617 against 0.333.
    assert popular_and_diverse(popularity, genres).tolist() == [0, 1, 2, 3]


def test_a_genre_gives_way_once_it_was_shown_often() -> None:
    n = 40
    popularity = np.arange(2 * n, 0, -1).astype(np.float32)
    genres = np.zeros((2 * n, 2), dtype=np.float32)
    genres[:n, 0], genres[n:, 1] = 1, 1  # every film of genre 0 is more popular than any of genre 1
    first = popular_and_diverse(popularity, genres)[:15]
    assert (first >= n).any()
    assert first[0] == 0


def test_a_stranger_can_be_shown_every_film_once() -> None:
    rng = np.random.default_rng(7)
    genres = (rng.random((500, 19)) < 0.2).astype(np.float32)
    order = popular_and_diverse(rng.random(500).astype(np.float32), genres)
    assert sorted(order.tolist()) == list(range(500))


def test_films_without_genres_keep_their_place() -> None:
    assert popular_and_diverse(np.array([1, 3, 2], np.float32), np.zeros((3, 2), np.float32)).tolist() == [1, 2, 0]


def test_an_order_becomes_falling_scores_of_popularity() -> None:
    films = as_ranked(np.array([2, 0, 1]), n_films=4)
    assert films.scores.tolist() == [1.0, 0.75, 0.5]
    assert films.contributions.sum(axis=1).tolist() == films.scores.tolist()
    assert films.contributions[:, SOURCES.index("popularity")].tolist() == films.scores.tolist()
