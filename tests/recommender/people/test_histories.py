"""The release's history continued by events. Expected values are worked out by hand."""

from __future__ import annotations

import numpy as np

from bento.recommender.people.histories import merged
from bento.release.people import EMPTY_HISTORY
from bento.stores.person import CLICKED, EVENT, PersonState
from features.catalog import Catalog, Film
from features.ids import key_of
from tests.recommender.examples import history

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


def test_events_on_films_of_text_ids_are_found_by_their_keys() -> None:
    catalog = Catalog([Film(7, "number"), Film("007", "zeros"), Film("tt7", "text")])
    both = merged(history(0, times_s=(10,)), state((key_of("tt7"), 5.0, 20), (key_of("007"), 4.0, 30)), catalog)
    assert (both.taste.item_rows.tolist(), both.seen_rows.tolist()) == ([0, 2, 1], [0, 1, 2])


def test_nothing_and_nothing_is_empty() -> None:
    assert len(merged(EMPTY_HISTORY, state(), CATALOG).taste.item_rows) == 0


def test_the_forgotten_keep_only_what_they_did_since() -> None:
    assert merged(history(0), state((200, 5.0, 20), forgotten=True), CATALOG).taste.item_rows.tolist() == [1]
    assert len(merged(history(0), state(forgotten=True), CATALOG).seen_rows) == 0
