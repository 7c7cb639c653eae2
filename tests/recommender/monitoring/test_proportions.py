"""Shares, intervals and tests against values worked out elsewhere."""

from __future__ import annotations

import pytest

from bento.recommender.monitoring.proportions import holm, two_proportion_z, wilson_interval


def test_wilson_stays_inside_0_and_1_where_nothing_or_everything_succeeded() -> None:
    # n = 10, no success: the upper end is z^2 / (n + z^2) = 3.8415 / 13.8415.
    assert wilson_interval(0, 10) == pytest.approx((0.0, 0.2775), abs=1e-4)
    assert wilson_interval(10, 10) == pytest.approx((0.7225, 1.0), abs=1e-4)


def test_no_trials_have_no_interval() -> None:
    assert wilson_interval(0, 0) is None


def test_equal_shares_have_z_0_and_p_1() -> None:
    assert two_proportion_z((10, 100), (20, 200)) == pytest.approx((0.0, 1.0))


@pytest.mark.parametrize("sides", [((0, 0), (1, 2)), ((0, 5), (0, 5)), ((5, 5), (5, 5))])
def test_without_any_difference_to_see_there_is_no_test(sides: tuple[tuple[int, int], tuple[int, int]]) -> None:
    assert two_proportion_z(*sides) is None


def test_holm_multiplies_the_smallest_by_their_number_and_never_falls() -> None:
    # Smallest first: .01 * 3, .02 * 2, .04 * 1 -> .03, .04, .04.
    assert holm([0.04, 0.01, 0.02]) == pytest.approx([0.04, 0.03, 0.04])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([]) == []
