"""Side features of films, against numbers worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from features.catalog import Catalog, Film
from tests.training.worlds import START_S, Columns, events_of
from training.data.item_features import era, item_features, statistics

DAY_S = 86_400


def test_era_bump_is_one_at_its_centre_and_fades() -> None:
    columns = era(Catalog([Film(1, "A", 1955), Film(2, "B", 1959)]))

    assert columns[0].max() == pytest.approx(1)
    # Four years away is one width: e^(-1/2).
    assert columns[1, columns[0].argmax()] == pytest.approx(np.exp(-0.5))


def test_unknown_year_has_a_column_of_its_own_and_no_bump() -> None:
    columns = era(Catalog([Film(1, "A", None), Film(2, "B", 1999)]))

    assert columns[0, -1] == 1
    assert columns[0, :-1].sum() == 0
    assert columns[1, -1] == 0


def test_statistics_of_hand_counted_events() -> None:
    rows: Columns = [(0, 0, 5.0, START_S), (1, 0, 3.0, START_S + 1), (0, 1, 4.0, START_S + 1000 * DAY_S)]

    log_count, mean, deviation, trend = statistics(events_of(rows), 3).T

    assert log_count == pytest.approx(np.log1p([2, 1, 0]) / 3)
    # The overall mean is 4, and so is each film's: shrinking changes nothing.
    assert mean == pytest.approx([0, 0, 0], abs=1e-6)
    assert deviation == pytest.approx([1, 0, 0])
    # Within the last year only film 1: shares (1, 2, 1) / 4 against (3, 2, 1) / 6.
    assert trend == pytest.approx(np.log([1 / 4, 2 / 4, 1 / 4]) - np.log([3 / 6, 2 / 6, 1 / 6]))


def test_features_have_one_row_per_film_whatever_is_known() -> None:
    catalog = Catalog([Film(1, "A", 2000, ("Drama",)), Film(2, "B")])

    features = item_features(catalog, events_of([(0, 0, 4.0, START_S)]), np.zeros((2, 0), dtype=np.float32))

    assert len(features.all) == 2
    assert np.isfinite(features.all).all()
    assert features.static.shape[1] == features.genres.shape[1] + features.era.shape[1]


def test_events_without_stars_count_but_do_not_lower_a_films_mean() -> None:
    rows: Columns = [(0, 0, 5.0, START_S), (1, 0, 0.0, START_S), (2, 1, 3.0, START_S), (3, 2, 0.0, START_S)]

    log_count, mean, deviation, _ = statistics(events_of(rows), 3).T

    assert log_count == pytest.approx(np.log1p([2, 1, 1]) / 3)
    # The overall mean is 4; five ratings of it stand beside the one that each of the first two films has.
    assert mean == pytest.approx([(5 + 20) / 6 - 4, (3 + 20) / 6 - 4, 0])
    assert deviation == pytest.approx([0, 0, 0])


def test_statistics_without_any_stars_are_finite_and_neutral() -> None:
    _, mean, deviation, _ = statistics(events_of([(0, 0, 0.0, START_S), (1, 1, 0.0, START_S)]), 2).T

    assert mean.tolist() == [0, 0]
    assert deviation.tolist() == [0, 0]
