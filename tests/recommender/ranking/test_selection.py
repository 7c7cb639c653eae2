"""Selection: films left out and filled up. Expected values are worked out by hand."""

from __future__ import annotations

import numpy as np

from bento.recommender.ranking.selection import followed_by, without
from tests.recommender.examples import ranked


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
