"""Side features of films, and the models that are only compared with."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse

from features.catalog import Catalog, Film
from tests.training.worlds import START_S, Columns, events_of
from training.data.item_features import era, item_features, statistics
from training.evaluation.item_cf import shrunken_cosine
from training.evaluation.svd import SvdConfig, fit_svd, rmse, shrunken_mean

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


def test_cosine_is_shrunk_by_people_who_do_not_exist() -> None:
    watched = sparse.csr_matrix(np.array([[1, 1, 0], [1, 1, 0], [1, 0, 1]], dtype=np.float32))

    similarity = shrunken_cosine(watched, shrinkage=2.0)

    assert similarity[0, 1] == pytest.approx(2 / (np.sqrt(3 * 2) + 2))
    assert similarity[0, 2] == pytest.approx(1 / (np.sqrt(3 * 1) + 2))
    assert similarity[1, 2] == 0
    assert np.diag(similarity).sum() == 0


def test_shrunken_mean_pulls_small_counts_to_zero() -> None:
    means = shrunken_mean(np.array([2.0, 2.0, 2.0], dtype=np.float32), np.array([0, 0, 2]), 3, prior=2.0)

    assert means == pytest.approx([4 / 4, 0, 2 / 3])


def test_svd_finds_the_two_tastes_behind_the_ratings() -> None:
    # Half the people love even films and hate odd ones, the others the other way round; a fifth is hidden.
    rng = np.random.default_rng(0)
    rows: Columns = [
        (person, film, 4.5 if person % 2 == film % 2 else 1.5, START_S) for person in range(60) for film in range(40)
    ]
    hidden = rng.random(len(rows)) < 0.2
    train = events_of([row for row, out in zip(rows, hidden, strict=True) if not out])
    test = events_of([row for row, out in zip(rows, hidden, strict=True) if out])

    model = fit_svd(train, 60, 40, SvdConfig(width=1))

    # Without factors everyone is predicted 3, an error of 1.5. Hidden ratings count as 0 in what is left over, so that
    # the factors reach four fifths of the way (an error of .3), less what deviations of a few ratings are off.
    assert rmse(model.predict(test.user_rows, test.item_rows), test.ratings) < 0.5


def test_predicted_stars_stay_on_the_scale() -> None:
    rows: Columns = [(0, film, 5.0, START_S) for film in range(5)] + [(1, film, 0.5, START_S) for film in range(5)]
    model = fit_svd(events_of(rows), 2, 5, SvdConfig(width=1, person_prior=0.0))

    predicted = model.predict(np.array([0, 1]), np.array([0, 0]))

    assert predicted.min() >= 0.5
    assert predicted.max() <= 5.0


def test_rmse_of_two_errors() -> None:
    assert rmse(np.array([3.0, 5.0], dtype=np.float32), np.array([4.0, 2.0], dtype=np.float32)) == pytest.approx(5**0.5)
