"""The re-ranker: its loss by hand, what it looks at, that it learns what a blend cannot, that it knows no target."""

from __future__ import annotations

from dataclasses import replace
from math import log

import numpy as np
import pytest
import torch

from features.catalog import Catalog, Film
from features.history import WatchHistory, history_tensors
from features.sources import SOURCES
from tests.training.worlds import events_of, planted_tastes
from training.data.splits import Protocol, hold_out
from training.models.mlp_scorer import (
    LARGEST_Z,
    N_FEATURES,
    DotScorer,
    MlpScorer,
    MlpScorerConfig,
    film_facts,
    listwise_loss,
)
from training.ranking.candidates import CandidateLists, candidate_lists, joined
from training.ranking.reranker_training import Examples, earlier, examples_of, learn, ndcg, report_of, standardise

N_ITEMS = 30
TEXT = SOURCES.index("text")
CATALOG = Catalog(
    Film(row + 1, f"Film {row}", None if row == 3 else 1990 + row, ("Drama",) if row % 2 else ("Comedy",))
    for row in range(N_ITEMS)
)
EVENTS = events_of([(0, 0, 4.0, 0), (0, 1, 2.0, 86_400), (1, 1, 5.0, 2 * 86_400)])


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def scorer(seed: int = 0) -> MlpScorer:
    """A net that knows the films and has learnt nothing."""
    torch.manual_seed(seed)
    net = MlpScorer(N_ITEMS, 16)
    net.know_films(CATALOG, EVENTS)
    return net.eval()


def lists(n: int = 40, size: int = 20, seed: int = 0) -> CandidateLists:
    """Random candidates of random histories, in the blend's order."""
    random = np.random.default_rng(seed)
    histories = [
        WatchHistory(random.permutation(N_ITEMS)[:3], np.full(3, 4, np.float32), np.arange(3) * 86_400)
        for _ in range(n)
    ]
    rows = np.stack([random.permutation(N_ITEMS)[:size] for _ in range(n)])
    weights = np.full(len(SOURCES), 1 / len(SOURCES), dtype=np.float32)
    z = random.standard_normal((n, size, len(SOURCES))).astype(np.float32)
    order = np.argsort(-z.sum(axis=2), axis=1)
    contributions = np.take_along_axis(z, order[:, :, None], axis=1) * weights
    return CandidateLists(history_tensors(histories), rows, contributions, weights)


def test_loss_of_one_target_is_its_softmax() -> None:
    """Scores 0, ln 2 and ln 5; the target's share of 1 + 2 + 5 is 2/8."""
    scores = torch.tensor([[0.0, log(2), log(5)]])
    loss = listwise_loss(scores, torch.tensor([[False, True, False]]))
    assert loss.tolist() == pytest.approx([log(4)], abs=1e-6)  # float32


def test_targets_do_not_compete_with_each_other() -> None:
    """Each against the one other film alone: -ln 2/3 and -ln 5/6, whose mean is ½ ln (9/5)."""
    scores = torch.tensor([[0.0, log(2), log(5)]])
    loss = listwise_loss(scores, torch.tensor([[False, True, True]]))
    assert loss.tolist() == pytest.approx([0.5 * log(9 / 5)], abs=1e-6)


def test_a_list_without_targets_and_padding_cost_nothing() -> None:
    scores = torch.tensor([[0.0, 0.0, -torch.inf], [3.0, 1.0, 0.0]], requires_grad=True)
    targets = torch.tensor([[True, False, False], [False, False, False]])
    losses = listwise_loss(scores, targets)
    assert losses.tolist() == pytest.approx([log(2), 0])
    losses.sum().backward()
    assert scores.grad is not None
    assert torch.isfinite(scores.grad).all()
    assert scores.grad[0].tolist() == pytest.approx([-0.5, 0.5, 0])


def test_what_has_learnt_nothing_is_the_dot_product() -> None:
    candidates = lists()
    np.testing.assert_array_equal(candidates.scored_by(scorer()), candidates.scored_by(DotScorer()))
    np.testing.assert_allclose(candidates.scored_by(DotScorer()), candidates.dot, atol=1e-6)


def random_net() -> MlpScorer:
    net = scorer()
    for parameter in net.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return net


def test_a_place_without_a_film_scores_minus_infinity_and_changes_no_other() -> None:
    candidates = lists(n=3)
    padded = replace(
        candidates,
        rows=np.pad(candidates.rows, ((0, 0), (0, 4)), constant_values=-1),
        contributions=np.pad(candidates.contributions, ((0, 0), (0, 4), (0, 0))),
    )
    net = random_net()
    scores = padded.scored_by(net)
    assert (scores[:, 20:] == -np.inf).all()
    np.testing.assert_allclose(scores[:, :20], candidates.scored_by(net), rtol=1e-5)  # float32 in another batch shape


def test_films_that_came_later_count_as_average_films() -> None:
    candidates, net = lists(n=2), random_net()
    later = replace(candidates, rows=candidates.rows + N_ITEMS)
    even_later = replace(candidates, rows=candidates.rows + 10 * N_ITEMS)
    np.testing.assert_array_equal(later.scored_by(net), even_later.scored_by(net))
    assert torch.equal(net.facts[N_ITEMS + 1], net.facts[1 : N_ITEMS + 1].mean(dim=0))


def test_sources_enter_as_z_scores_whatever_they_weigh() -> None:
    candidates = lists(n=2)
    halved = replace(candidates, contributions=candidates.contributions / 2, weights=candidates.weights / 2)
    net, everyone = scorer(), np.arange(2)
    first, second = (net.features(*one.inputs(everyone))[:, :, : len(SOURCES)] for one in (candidates, halved))
    torch.testing.assert_close(first, second)


def test_a_source_without_weight_and_a_z_score_without_bounds_are_neutral_and_clipped() -> None:
    candidates = lists(n=1)
    weights = candidates.weights.copy()
    weights[TEXT] = 0
    contributions = candidates.contributions.copy()
    contributions[:, :, 0] = 1_000
    net = scorer()
    features = net.features(*replace(candidates, weights=weights, contributions=contributions).inputs(np.arange(1)))
    assert (features[:, :, TEXT] == 0).all()
    assert (features[:, :, 0] == LARGEST_Z).all()
    assert features.shape == (1, 20, N_FEATURES)


def test_strangers_films_without_a_year_and_empty_histories_are_finite() -> None:
    nobody = WatchHistory(np.empty(0, np.int64), np.empty(0, np.float32), np.empty(0, np.int64))
    candidates = replace(lists(n=1), histories=history_tensors([nobody]))
    assert np.isfinite(candidates.scored_by(random_net())).all()
    assert np.isfinite(film_facts(CATALOG, EVENTS)).all()
    assert film_facts(CATALOG, EVENTS)[3, 4] == pytest.approx(np.delete(np.arange(-10, 20), 3).mean() / 20)


def examples(net: MlpScorer, candidates: CandidateLists, target: np.ndarray) -> Examples:
    """(L,) the place of the one target of each list, each list a person's."""
    targets = list(candidates.rows[np.arange(len(candidates)), target][:, None])
    people = np.arange(len(candidates))
    return examples_of(net, candidates, targets, people, len(people))


LEARNING = MlpScorerConfig(epochs=15, folds=2, lists_per_batch=8, learning_rate=1e-2, dropout=0.0)


def test_the_reranker_learns_what_no_blend_can_say() -> None:
    """The film to come is the one whose text fits neither well nor badly: no weight of the text finds the middle."""
    candidates, net = lists(n=320), scorer()
    z = candidates.contributions[:, :, TEXT] / candidates.weights[TEXT]
    report = learn(net, examples(net, candidates, np.abs(z).argmin(axis=1)), LEARNING, seed=0)
    assert report["dot"]["mean"] < 0.4  # one of twenty films by chance: .23
    assert report["mlp"]["mean"] > 0.8
    assert report["default"] == "mlp"


def test_nothing_is_learnt_from_noise() -> None:
    target, net = np.random.default_rng(1).integers(20, size=320), scorer()
    report = learn(net, examples(net, lists(n=320), target), LEARNING, seed=0)
    assert report["default"] == "dot"
    assert abs(report["gain"]["mean"]) < 3 * report["gain"]["se"]


def test_too_few_people_leave_the_dot_product() -> None:
    net = scorer()
    report = learn(net, examples(net, lists(n=40), np.full(40, 7)), LEARNING, seed=0)
    assert (report["default"], report["epochs"], report["gain"]) == ("dot", 0, {"mean": 0, "se": 0})
    np.testing.assert_array_equal(lists().scored_by(net), lists().scored_by(DotScorer()))


def test_equal_seeds_give_equal_rerankers() -> None:
    nets = [scorer(seed) for seed in (0, 0, 1)]
    for net, seed in zip(nets, (0, 0, 1), strict=True):
        learn(net, examples(net, lists(n=320), np.arange(320) % 20), replace(LEARNING, epochs=1), seed)
    one, again, other = (lists(n=5).scored_by(net) for net in nets)
    np.testing.assert_array_equal(one, again)
    assert not np.array_equal(one, other)


def test_features_are_standardised_over_candidates_alone() -> None:
    candidates = lists()
    candidates.rows[:, -5:] = -1
    net = scorer()
    seen = examples(net, candidates, np.zeros(len(candidates), dtype=np.int64))
    standardise(net, seen)
    scaled = (seen.features[torch.isfinite(seen.dot)] - net.middle) / net.spread
    torch.testing.assert_close(scaled.mean(dim=0), torch.zeros(N_FEATURES), atol=1e-4, rtol=0)
    deviations = scaled.std(dim=0)
    assert ((deviations - 1).abs().lt(1e-3) | deviations.eq(0) | deviations.lt(1e-4)).all()


def test_the_report_says_mlp_only_beyond_two_standard_errors() -> None:
    """Gains of 1, 0 and 0, 0: mean ¼, deviation ½, so one standard error. Four people who all gain ½ are certain."""
    none, one = np.zeros(4), np.array([1.0, 0, 0, 0])
    assert report_of(none, one, 3)["gain"] == {"mean": 0.25, "se": 0.25}
    assert report_of(none, one, 3)["default"] == "dot"
    assert report_of(none, np.array([0.5, 0.5, 0.5, 0.4]), 3)["default"] == "mlp"
    assert report_of(one, none, 3)["default"] == "dot"


def test_ndcg_counts_targets_that_are_no_candidates() -> None:
    """One target first, another one not among the candidates: 1 / (1 + 1 / log2 3)."""
    candidates = lists(n=1, size=10)
    first, other = candidates.rows[0, 0], np.setdiff1d(np.arange(N_ITEMS), candidates.rows)[0]
    both = examples_of(scorer(), candidates, [np.array([first, other])], np.zeros(1, np.int64), 1)
    assert ndcg(both, both.dot) == pytest.approx([1 / (1 + 1 / np.log2(3))])


@pytest.fixture(scope="module")
def split() -> object:
    events, _ = planted_tastes(n_people=60)
    return hold_out(events, Protocol.MIXED)


def test_earlier_lists_are_of_strangers_and_no_target_stands_in_its_history(split: object) -> None:
    people, histories, targets = earlier(split, 3)  # type: ignore[arg-type]
    known = set(split.train.user_rows.tolist())  # type: ignore[attr-defined]
    assert len(people)
    assert not known & set(people.tolist())
    places = {person: place for place, person in enumerate(split.people.tolist())}  # type: ignore[attr-defined]
    for person, history, films in zip(people.tolist(), histories, targets, strict=True):
        whole = split.histories[places[person]].item_rows  # type: ignore[attr-defined]
        n = len(history.item_rows)
        assert history.item_rows.tolist() == whole[:n].tolist()
        assert films.tolist() == whole[n : n + 5].tolist()
        assert not set(films.tolist()) & set(history.item_rows.tolist())
        assert not set(films.tolist()) & set(split.targets[places[person]].tolist())  # type: ignore[attr-defined]
    assert np.bincount(people).max() <= 3
    assert len(earlier(split, 0)[0]) == 0  # type: ignore[arg-type]


def test_candidates_are_the_best_films_that_were_not_seen() -> None:
    random = np.random.default_rng(0)
    scores = random.standard_normal((len(SOURCES), 2, N_ITEMS)).astype(np.float32)
    weights = {source: 0.1 * (place + 1) for place, source in enumerate(SOURCES)}
    histories = [WatchHistory(np.arange(n), np.zeros(n, np.float32), np.zeros(n, np.int64)) for n in (4, 24)]
    candidates = candidate_lists(scores, histories, weights, 10)
    blended = sum(weights[source] * scores[place] for place, source in enumerate(SOURCES))
    for person, history in enumerate(histories):
        unseen = [row for row in np.argsort(-blended[person]).tolist() if row not in history.item_rows][:10]
        assert candidates.rows[person, : len(unseen)].tolist() == unseen
        np.testing.assert_allclose(candidates.dot[person, : len(unseen)], blended[person, unseen], atol=1e-5)
    assert candidates.rows[1, 6:].tolist() == [-1] * 4
    assert (candidates.dot[1, 6:] == -np.inf).all()
    both = joined([candidates, candidates])
    assert (len(both), both.rows[2:].tolist()) == (4, candidates.rows.tolist())


def test_films_of_equal_score_stay_in_the_blends_order() -> None:
    candidates = lists(n=2, size=3)
    scores = np.array([[0, 0, 1], [2, 2, 2]], dtype=np.float32)
    first, second = candidates.rows
    assert candidates.reordered(scores).tolist() == [[first[2], first[0], first[1]], second.tolist()]
