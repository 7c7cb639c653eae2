"""What stars say of a person."""

from __future__ import annotations

import numpy as np

from features.thresholds import liked, not_disliked

RATINGS = np.array([0.5, 2.5, 3.0, 3.5, 5.0, 0.0], dtype=np.float32)


def test_films_are_liked_from_three_and_a_half_stars_or_without_stars() -> None:
    assert liked(RATINGS).tolist() == [False, False, False, True, True, True]


def test_films_are_disliked_below_three_stars() -> None:
    assert not_disliked(RATINGS).tolist() == [False, False, True, True, True, True]


def test_a_film_only_looked_at_is_not_liked() -> None:
    assert not liked(np.array([-1], dtype=np.float32)).any()
