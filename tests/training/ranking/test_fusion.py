"""The search for fusion weights, on scores whose right weights are plain."""

from __future__ import annotations

import numpy as np
import pytest

from features.sources import SOURCES
from training.ranking.fusion import (
    MIN_PEOPLE,
    PRESETS,
    Pool,
    as_weights,
    find_weights,
    join,
    pool,
    pooled_ndcg,
    reciprocal_rank_weights,
    search,
    without,
)
from training.ranking.metrics import measure, rank

EVEN = dict.fromkeys(SOURCES, 1 / len(SOURCES))


def scores_where(informative: dict[str, float], n_people: int, n_items: int = 300) -> tuple[np.ndarray, list, list]:
    """(S, P, N) noise, with the targets raised by so much in some sources; nothing seen; two targets each."""
    rng = np.random.default_rng(0)
    scores = rng.normal(size=(len(SOURCES), n_people, n_items)).astype(np.float32)
    targets = [rng.choice(n_items, 2, replace=False) for _ in range(n_people)]
    for source, lift in informative.items():
        for person, rows in enumerate(targets):
            scores[SOURCES.index(source), person, rows] += lift
    return scores, [np.array([], dtype=np.int64)] * n_people, targets


def test_search_finds_the_only_source_that_knows() -> None:
    weights = search(pool(*scores_where({"text": 3.0}, 300)), EVEN)

    assert weights["text"] > 0.9


def test_search_weighs_two_equal_sources_about_alike_and_beats_each() -> None:
    candidates = pool(*scores_where({"ease": 2.0, "sequence": 2.0}, 600))

    weights = search(candidates, EVEN)

    assert 0.5 < weights["ease"] / weights["sequence"] < 2
    found = pooled_ndcg(candidates, np.array([weights[source] for source in SOURCES])).mean()
    for source in ("ease", "sequence"):
        alone = np.array([float(name == source) for name in SOURCES])
        assert found > pooled_ndcg(candidates, alone).mean() + 0.05


def test_weights_sum_to_one_and_are_never_negative() -> None:
    weights = find_weights(pool(*scores_where({"ials": 1.0}, MIN_PEOPLE)))

    assert sum(weights.values()) == pytest.approx(1)
    assert min(weights.values()) >= 0


def test_too_few_people_get_weights_from_reciprocal_ranks() -> None:
    candidates = pool(*scores_where({"ials": 3.0}, MIN_PEOPLE - 1))

    assert find_weights(candidates) == reciprocal_rank_weights(candidates)


def test_reciprocal_rank_weight_of_a_source_that_ranks_the_target_first() -> None:
    # Source 0 puts the target first: 1 / 21. Source 1 puts it third: 1 / 23. The others say nothing: 0.
    scores = np.zeros((len(SOURCES), 1, 4), dtype=np.float32)
    scores[0, 0], scores[1, 0] = [9, 1, 2, 3], [2, 1, 3, 4]
    candidates = Pool(scores, np.array([[True, False, False, False]]), np.array([1]))

    weights = reciprocal_rank_weights(candidates)

    assert weights[SOURCES[0]] == pytest.approx((1 / 21) / (1 / 21 + 1 / 23))
    assert weights[SOURCES[2]] == 0


def test_pooled_ndcg_is_the_ndcg_of_the_whole_ranking() -> None:
    scores, seen, targets = scores_where({"ease": 2.0}, 40)
    alone = np.array([float(source == "ease") for source in SOURCES])
    whole = measure(rank(scores[SOURCES.index("ease")], seen), targets, np.ones(300, dtype=np.float32))

    pooled = pooled_ndcg(pool(scores, seen, targets, size=50), alone)

    np.testing.assert_allclose(pooled, whole.per_person["ndcg@10"], rtol=1e-6)


def test_films_seen_never_enter_the_pool() -> None:
    scores, _, targets = scores_where({}, 1, n_items=5)
    targets = [np.array([0])]
    seen = [np.array([3, 4])]
    scores[:, 0, 3] = 100

    candidates = pool(scores, seen, targets, size=5)

    assert np.isfinite(candidates.scores[0, 0]).sum() == 3
    assert candidates.scores.max() < 100


def test_a_tie_counts_against_the_target() -> None:
    scores = np.zeros((len(SOURCES), 1, 20), dtype=np.float32)
    candidates = Pool(scores, np.eye(1, 20, dtype=np.bool_), np.array([1]))

    assert pooled_ndcg(candidates, np.ones(len(SOURCES))).tolist() == [0.0]


def test_the_tenth_place_counts_and_the_eleventh_does_not() -> None:
    scores = np.tile(np.arange(20, 0, -1, dtype=np.float32), (len(SOURCES), 2, 1))
    targets = np.zeros((2, 20), dtype=np.bool_)
    targets[0, 9] = targets[1, 10] = True

    ndcg = pooled_ndcg(Pool(scores, targets, np.array([1, 1])), np.ones(len(SOURCES)))

    assert ndcg.tolist() == pytest.approx([1 / np.log2(11), 0])


def test_joined_pools_keep_every_person() -> None:
    one, other = pool(*scores_where({"ease": 2.0}, 5)), pool(*scores_where({"ease": 2.0}, 7), size=20)
    weights = np.ones(len(SOURCES))

    both = pooled_ndcg(join([one, other]), weights)

    np.testing.assert_allclose(both, np.r_[pooled_ndcg(one, weights), pooled_ndcg(other, weights)])


def test_without_turns_one_source_off() -> None:
    assert without(EVEN, "ease") == EVEN | {"ease": 0.0}


@pytest.mark.parametrize("name", PRESETS)
def test_presets_name_every_source_and_sum_to_one(name: str) -> None:
    assert tuple(PRESETS[name]) == SOURCES
    assert sum(PRESETS[name].values()) == pytest.approx(1)


def test_weights_keep_their_proportions() -> None:
    sizes = {"sequence": 2.0, "ease": 6.0}
    weights = as_weights(np.array([sizes.get(source, 0) for source in SOURCES]))

    assert weights["sequence"] == pytest.approx(0.25)
    assert weights["ease"] == pytest.approx(0.75)
