"""The baselines, item-CF and SVD, against numbers worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse

from tests.training.worlds import START_S, Columns, events_of
from training.data.splits import Protocol, Split, hold_out
from training.evaluation.baselines import compare
from training.evaluation.item_cf import shrunken_cosine
from training.evaluation.svd import SvdConfig, fit_svd, rmse, shrunken_mean


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


def watched(stars: float) -> Split:
    """Eight people's next film, of six that each has watched in turn."""
    rows: Columns = [(user, (user + at) % 6, stars, START_S + at) for user in range(8) for at in range(4)]
    return hold_out(events_of(rows), Protocol.LAST1)


def test_without_stars_there_is_no_rmse_and_the_ranking_is_measured_all_the_same() -> None:
    assert set(compare(watched(0.0), 6)) == {"item_cf"}
    assert set(compare(watched(4.0), 6)) == {"item_cf", "rmse"}
