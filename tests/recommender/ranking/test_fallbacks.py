"""The fallbacks below the hybrid, each on its own. Expected values are worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from bento.recommender.ranking.fallbacks import best_without_retrieval, genre_popularity
from bento.recommender.retrieval.candidates import Encoded
from tests.recommender.examples import history

POPULARITY = np.array([4, 3, 2, 1], dtype=np.float32)
GENRES = np.array([[1, 0], [0, 1], [1, 0], [0, 1]], dtype=np.float32)


def test_genre_popularity_doubles_films_of_the_liked_genre() -> None:
    films = genre_popularity(history(3), POPULARITY, GENRES)
    # Popularity 1, 0.75, 0.5, 0.25; rows 1 and 3 are of the liked genre and count double.
    assert films.rows.tolist() == [1, 0, 2, 3]
    assert films.scores.tolist() == pytest.approx([1.5, 1.0, 0.5, 0.5])


def test_a_disliked_film_tells_nothing_about_its_genre() -> None:
    films = genre_popularity(history(0, 3, ratings=(0.5, 5.0)), POPULARITY, GENRES)
    assert films.scores.tolist() == pytest.approx([1.5, 1.0, 0.5, 0.5])


def test_films_without_genres_count_by_popularity() -> None:
    films = genre_popularity(history(0), POPULARITY, np.zeros((4, 2), np.float32))
    assert films.scores.tolist() == pytest.approx([1.0, 0.75, 0.5, 0.25])


def test_the_rungs_are_item_to_item_then_content_then_genres() -> None:
    by_genre = genre_popularity(history(3), POPULARITY, GENRES)
    text_vectors = np.array([[0, 0], [1, 0], [0, 1], [1, 1]], dtype=np.float32)
    profile = {"text": np.array([[0, 2]], dtype=np.float32)}
    neighbours = {
        "neighbour_rows": np.array([3, -1, 2]),
        "neighbour_scores": np.array([1.0, 0.0, 2.0], dtype=np.float32),
    }
    strategy, films = best_without_retrieval(Encoded(profile, **neighbours), text_vectors, by_genre, 3)
    assert (strategy, films.rows.tolist()) == ("item_to_item", [2, 3, 1])
    strategy, films = best_without_retrieval(Encoded(profile), text_vectors, by_genre, 3)
    assert (strategy, films.rows.tolist()) == ("content", [2, 3, 0])
    strategy, films = best_without_retrieval(Encoded(), text_vectors, by_genre, 3)
    assert (strategy, films.rows.tolist()) == ("genre_popularity", [1, 0, 2])


def test_a_rung_that_knows_nothing_is_skipped() -> None:
    by_genre = genre_popularity(history(3), POPULARITY, GENRES)
    nothing = Encoded({"text": np.zeros((1, 2), np.float32)}, np.array([-1, -1]), np.zeros(2, np.float32))
    assert best_without_retrieval(nothing, np.ones((4, 2), np.float32), by_genre, 3)[0] == "genre_popularity"
