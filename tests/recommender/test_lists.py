"""The pure parts: blending, cold start, fallbacks, merged histories. Expected values are worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from bento.recommender.people.histories import merged
from bento.recommender.ranking.blending import followed_by, without
from bento.recommender.ranking.candidates import Encoded, Ranked
from bento.recommender.ranking.cold_start import as_ranked, popular_and_diverse
from bento.recommender.ranking.fallbacks import best_without_retrieval, genre_popularity
from bento.stores.known_people import EMPTY_HISTORY
from bento.stores.person import CLICKED, EVENT, PersonState
from features.catalog import Catalog, Film
from features.history import WatchHistory
from features.sources import SOURCES


def ranked(*pairs: tuple[int, float]) -> Ranked:
    """Rows with scores; each row's contribution is its score, all from the first source."""
    rows = np.array([row for row, _ in pairs], dtype=np.int64)
    scores = np.array([score for _, score in pairs], dtype=np.float32)
    contributions = np.zeros((len(pairs), len(SOURCES)), dtype=np.float32)
    contributions[:, 0] = scores
    return Ranked(rows, scores, contributions)


def history(
    *rows: int, ratings: tuple[float, ...] | None = None, times_s: tuple[int, ...] | None = None
) -> WatchHistory:
    return WatchHistory(
        np.array(rows, dtype=np.int64),
        np.array(ratings or [0] * len(rows), dtype=np.float32),
        np.array(times_s or [0] * len(rows), dtype=np.int64),
    )


# Blending


def test_without_keeps_order_and_contributions() -> None:
    left = without(ranked((5, 3), (2, 2), (9, 1), (4, 0)), np.array([2, 2, 77]), top_k=2)
    assert left.rows.tolist() == [5, 9]
    assert left.scores.tolist() == left.contributions[:, 0].tolist() == [3, 1]


def test_without_anything_left_is_empty() -> None:
    assert len(without(ranked((5, 3)), np.array([5]), top_k=2).rows) == 0


def test_followed_by_fills_up_with_new_films_below_the_last_score() -> None:
    joined = followed_by(ranked((5, 3.0), (2, 2.0)), ranked((2, 9.0), (7, 8.0), (1, 6.5), (0, 6.0)), top_k=4)
    assert joined.rows.tolist() == [5, 2, 7, 1]
    assert joined.scores.tolist() == [3.0, 2.0, 2.0, 0.5]


def test_followed_by_leaves_lower_scores_alone() -> None:
    assert followed_by(ranked((5, 3.0)), ranked((7, 1.0)), top_k=2).scores.tolist() == [3.0, 1.0]


def test_followed_by_changes_nothing_when_the_first_is_long_enough() -> None:
    first = ranked((5, 3.0), (2, 2.0))
    assert followed_by(first, ranked((7, 1.0)), top_k=2) is first


# Cold start


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


# Fallbacks

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


# Merged histories

CATALOG = Catalog([Film(100, "a"), Film(200, "b"), Film(300, "c")])


def state(*events: tuple[int, float, int], forgotten: bool = False) -> PersonState:
    return PersonState(1, forgotten, np.array(list(events), dtype=EVENT))


def test_events_continue_the_release() -> None:
    both = merged(history(0, ratings=(4,), times_s=(10,)), state((300, 5.0, 20)), CATALOG)
    taste = both.taste
    assert (taste.item_rows.tolist(), taste.ratings.tolist(), taste.timestamps_s.tolist()) == ([0, 2], [4, 5], [10, 20])
    assert both.seen_rows.tolist() == [0, 2]


def test_a_film_in_both_counts_with_its_newer_event() -> None:
    taste = merged(history(0, 1, ratings=(4, 3), times_s=(10, 11)), state((100, 1.0, 20)), CATALOG).taste
    assert (taste.item_rows.tolist(), taste.ratings.tolist()) == ([1, 0], [3, 1])


def test_a_click_tells_the_taste_without_a_rating_and_is_not_seen() -> None:
    both = merged(history(0, times_s=(10,)), state((200, CLICKED, 20)), CATALOG)
    assert (both.taste.item_rows.tolist(), both.taste.ratings.tolist()) == ([0, 1], [0, 0])
    assert both.seen_rows.tolist() == [0]


def test_a_film_of_the_release_stays_seen_when_it_is_clicked() -> None:
    assert merged(history(0), state((100, CLICKED, 20)), CATALOG).seen_rows.tolist() == [0]


def test_films_that_this_release_does_not_hold_are_left_out() -> None:
    both = merged(history(0), state((999, 5.0, 20)), CATALOG)
    assert (both.taste.item_rows.tolist(), both.seen_rows.tolist()) == ([0], [0])


def test_nothing_and_nothing_is_empty() -> None:
    assert len(merged(EMPTY_HISTORY, state(), CATALOG).taste.item_rows) == 0


def test_the_forgotten_keep_only_what_they_did_since() -> None:
    assert merged(history(0), state((200, 5.0, 20), forgotten=True), CATALOG).taste.item_rows.tolist() == [1]
    assert len(merged(history(0), state(forgotten=True), CATALOG).seen_rows) == 0
