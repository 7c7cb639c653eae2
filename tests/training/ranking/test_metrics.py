"""Ranking metrics against numbers worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from training.ranking.metrics import hit_matrix, measure, metrics_at, paired_bootstrap, rank

NOTHING = np.array([], dtype=np.int64)


def metrics_of(ranked: list[int], targets: list[int], k: int) -> dict[str, float]:
    hits = hit_matrix(np.array([ranked]), [np.array(targets)], n_items=100)
    return {name: float(value[0]) for name, value in metrics_at(hits, np.array([len(targets)]), k).items()}


def test_hits_at_places_one_and_three_of_two_targets() -> None:
    metrics = metrics_of([7, 1, 2, 9, 8], targets=[2, 7], k=5)

    assert metrics["recall"] == 1
    assert metrics["precision"] == pytest.approx(2 / 5)
    # DCG 1/log2(2) + 1/log2(4) = 1.5; ideal 1/log2(2) + 1/log2(3) = 1.63093
    assert metrics["ndcg"] == pytest.approx(1.5 / 1.6309298, abs=1e-6)
    assert metrics["hit_rate"] == 1
    assert metrics["map"] == pytest.approx((1 / 1 + 2 / 3) / 2)
    assert metrics["mrr"] == 1


def test_first_hit_at_place_four_gives_a_quarter_of_reciprocal_rank() -> None:
    metrics = metrics_of([1, 2, 3, 4, 5], targets=[4, 60, 61], k=5)

    assert metrics["mrr"] == pytest.approx(1 / 4)
    assert metrics["recall"] == pytest.approx(1 / 3)
    assert metrics["map"] == pytest.approx((1 / 4) / 3)


def test_hits_past_the_cutoff_do_not_count() -> None:
    assert metrics_of([1, 2, 3, 4, 5, 60], targets=[60], k=5) == {
        "recall": 0, "precision": 0, "ndcg": 0, "hit_rate": 0, "map": 0, "mrr": 0,
    }  # fmt: skip


def test_more_targets_than_places_can_still_reach_one() -> None:
    metrics = metrics_of([1, 2, 3, 4, 5], targets=list(range(1, 9)), k=5)

    assert metrics["ndcg"] == pytest.approx(1)
    assert metrics["map"] == pytest.approx(1)
    assert metrics["recall"] == pytest.approx(5 / 8)


def test_unfilled_places_are_no_hits() -> None:
    # -1 of the second person must not be read as the last film of the first.
    hits = hit_matrix(np.array([[5, -1], [-1, -1]]), [np.array([99]), np.array([3])], n_items=100)

    assert not hits.any()


def test_oracle_reaches_one_in_every_metric_but_precision() -> None:
    rng = np.random.default_rng(0)
    targets = [rng.choice(200, 5, replace=False) for _ in range(30)]
    scores = np.zeros((30, 200), dtype=np.float32)
    for person, rows in enumerate(targets):
        scores[person, rows] = 1

    metrics = measure(rank(scores, [NOTHING] * 30), targets, np.ones(200, dtype=np.float32))

    for name in ("recall", "ndcg", "hit_rate", "map", "mrr"):
        assert metrics.mean(f"{name}@10") == pytest.approx(1)


def test_random_scorer_stays_under_two_thousandths_of_ndcg() -> None:
    rng = np.random.default_rng(0)
    targets = [rng.choice(9000, 5, replace=False) for _ in range(600)]
    scores = rng.random((600, 9000), dtype=np.float32)

    ranked = rank(scores, [NOTHING] * 600)

    assert measure(ranked, targets, np.ones(9000, dtype=np.float32)).mean("ndcg@10") < 0.002


def test_catalogue_order_gives_no_gain_when_all_scores_tie() -> None:
    # Everyone wants the first films of the catalogue; a ranking that kept its order on ties would reach 1.
    targets = [np.arange(5)] * 4

    ranked = rank(np.zeros((4, 5000), dtype=np.float32), [NOTHING] * 4)

    assert measure(ranked, targets, np.ones(5000, dtype=np.float32)).mean("recall@20") == 0


def test_films_seen_are_never_ranked() -> None:
    scores = np.arange(30, dtype=np.float32)[None]

    ranked = rank(scores, [np.array([29, 27])], k=3)

    assert ranked.tolist() == [[28, 26, 25]]


def test_fewer_films_than_places_leave_places_unfilled() -> None:
    scores = np.array([[0.1, -np.inf, 0.3, 0.2]], dtype=np.float32)

    assert rank(scores, [np.array([3])], k=5).tolist() == [[2, 0, -1, -1, -1]]


def test_both_zeros_tie_and_negative_scores_rank_below() -> None:
    scores = np.array([[-1.0, -0.0, 0.0, -2.0, 3.0, -0.5]], dtype=np.float32)

    ranked = rank(scores, [NOTHING], k=6)[0]

    assert ranked[[0, 3, 4, 5]].tolist() == [4, 5, 0, 3]
    assert ranked[1:3].tolist() == rank(np.zeros((1, 6), dtype=np.float32), [np.array([0, 3, 4, 5])], k=2)[0].tolist()


def test_coverage_counts_distinct_films_shown_to_anyone() -> None:
    ranked = np.array([[0, 1, 2, 3, 4], [0, 1, 2, 3, 5]])

    metrics = measure(ranked, [np.array([0]), np.array([0])], np.ones(12, dtype=np.float32))

    assert metrics.coverage[5] == pytest.approx(6 / 12)


def test_novelty_is_the_surprise_of_what_is_shown() -> None:
    # One more event each: 3, 1 and 4 of 8 → film 1 has a share of 1/8, which is 3 bits.
    metrics = measure(np.array([[1]]), [np.array([1])], np.array([2, 0, 3], dtype=np.float32))

    assert metrics.mean("novelty@5") == pytest.approx(3)


def test_standard_error_of_the_mean() -> None:
    # Hit rates 1, 0, 0, 1: sample deviation sqrt(1/3), over sqrt(4).
    ranked = np.array([[1], [2], [2], [1]])

    metrics = measure(ranked, [np.array([1])] * 4, np.ones(5, dtype=np.float32))

    assert metrics.standard_error("hit_rate@5") == pytest.approx(np.sqrt(1 / 3) / 2)


def test_bootstrap_of_a_constant_lead_has_no_width() -> None:
    values = np.random.default_rng(0).random(50)

    interval = paired_bootstrap(values + 0.25, values)

    assert (interval.low, interval.high) == (pytest.approx(0.25), pytest.approx(0.25))


def test_bootstrap_of_two_equal_scorers_includes_zero() -> None:
    rng = np.random.default_rng(1)

    interval = paired_bootstrap(rng.random(400), rng.random(400))

    assert interval.low < 0 < interval.high


def test_bootstrap_width_follows_the_standard_error() -> None:
    # The 95 % interval of a mean is about ± 1.96 standard errors; 10 000 resamples fix its ends to within 3 %.
    difference = np.random.default_rng(2).normal(1, 2, size=500)
    error = difference.std(ddof=1) / np.sqrt(500)

    interval = paired_bootstrap(difference, np.zeros(500))

    assert interval.high - interval.low == pytest.approx(2 * 1.96 * error, rel=0.05)
