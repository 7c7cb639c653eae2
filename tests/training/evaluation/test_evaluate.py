"""Evaluating models whose scores are known: who is ranked, by what, and against which numbers."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from features.history import WatchHistory
from features.scorers import MLP, SCORER_MODELS
from features.sources import SOURCE_WIDTHS, SOURCES
from tests.training.worlds import events_of
from training.data.splits import Protocol, Split
from training.evaluation.evaluate import BY_MLP, HYBRID, OFFLINE, Evaluation, evaluate
from training.fit.trainer import FittedModels
from training.models.mlp_scorer import SCORER_INPUTS
from training.models.serving import HISTORY_INPUTS
from training.ranking import scoring
from training.ranking.metrics import RankingMetrics

POPULARITY = np.array([6, 5, 4, 3, 2, 1], dtype=np.float32)
"""Of six films: by popularity alone everybody is told of film 0, then 1, 2, ..."""

EASE_SCORES = (0.0, 0.0, 0.0, 0.0, 9.0, 0.0)
"""What the item-to-item source says to everybody: film 4, and nothing of the others."""


class Says(nn.Module):
    """An encoder that gives everybody the same outputs."""

    input_names = HISTORY_INPUTS

    def __init__(self, *outputs: np.ndarray) -> None:
        super().__init__()
        self.outputs = [torch.from_numpy(output) for output in outputs]

    def forward(self, history: Tensor, *_: Tensor) -> tuple[Tensor, ...]:
        return tuple(output.expand(len(history), -1) for output in self.outputs)


class LeastPopularFirst(nn.Module):
    """A re-ranker that turns the order round."""

    input_names = SCORER_INPUTS

    def forward(self, history: Tensor, ratings: Tensor, age_days: Tensor, rows: Tensor, *_: Tensor) -> tuple[Tensor]:
        return (torch.where(rows < 0, float("-inf"), rows.to(torch.float32)),)


def models(reranker: nn.Module | None = None) -> FittedModels:
    n_items = len(POPULARITY)
    widths = {"sequence_encoder": (64,), "user_tower": (64,), "ials_user": (64,), "content_profile": (128, 64)}
    encoders: dict[str, nn.Module] = {
        name: Says(*(np.zeros((1, width), dtype=np.float32) for width in outputs)) for name, outputs in widths.items()
    }
    encoders["ease"] = Says(np.arange(n_items)[None], np.array([EASE_SCORES], dtype=np.float32))
    if reranker is not None:
        encoders[SCORER_MODELS[MLP]] = reranker
    vectors = {source: np.zeros((n_items, width), dtype=np.float32) for source, width in SOURCE_WIDTHS.items()}
    vectors["popularity"] = (POPULARITY - POPULARITY.mean())[:, None]
    return FittedModels(encoders, vectors, POPULARITY, {})


def split(*people: tuple[tuple[int, ...], tuple[int, ...]]) -> Split:
    """Each person's history and targets, by film. Everybody's history was trained on."""
    histories = tuple(
        WatchHistory(np.array(seen), np.full(len(seen), 4, np.float32), 1_000 + np.arange(len(seen)))
        for seen, _ in people
    )
    train = events_of([(person, film, 4.0, 1_000) for person, (seen, _) in enumerate(people) for film in seen])
    targets = tuple(np.array(wanted) for _, wanted in people)
    stars = tuple(np.full(len(wanted), 4, np.float32) for _, wanted in people)
    return Split(Protocol.LAST1, train, np.arange(len(people)), histories, targets, stars)


def only(source: str) -> dict[str, float]:
    return dict.fromkeys(SOURCES, 0.0) | {source: 1.0}


def mrr(result: Evaluation) -> dict[str, list[float]]:
    """Of each row of the table, one over the place of each person's target."""
    return {name: metrics.per_person["mrr@5"].round(6).tolist() for name, metrics in result.table.items()}


def test_films_of_the_history_are_not_ranked() -> None:
    """Who has seen films 0 and 2 is told of 1 first, then 3."""
    table = mrr(evaluate(models(LeastPopularFirst()), split(((0, 2), (1,)), ((0, 2), (3,))), only("popularity")))

    assert table["popularity"] == table[HYBRID] == [1, 0.5]
    assert table[BY_MLP] == [0.25, pytest.approx(1 / 3, abs=1e-6)]  # 5, 4, 3, 1


def test_each_source_is_ranked_alone_and_the_hybrid_by_the_weights_given() -> None:
    table = mrr(evaluate(models(), split(((5,), (4,))), only("ease"), ablation=False))

    assert set(table) == {*SOURCES, HYBRID}
    assert (table["ease"], table["popularity"], table[HYBRID]) == ([1], [0.2], [1])


def test_without_a_source_the_hybrid_is_the_blend_of_the_others() -> None:
    weights = only("ease") | {"popularity": 0.5}
    table = mrr(evaluate(models(), split(((5,), (4,))), weights))

    assert set(table) == {*SOURCES, HYBRID, *(f"{HYBRID} without {source}" for source in SOURCES)}
    assert (table[HYBRID], table[f"{HYBRID} without ease"], table[f"{HYBRID} without popularity"]) == ([1], [0.2], [1])


def test_people_who_are_scored_one_by_one_get_what_they_get_together(monkeypatch: pytest.MonkeyPatch) -> None:
    people = split(((0,), (1,)), ((1,), (2,)), ((0, 1, 2), (5,)), ((4,), (3,)), ((3,), (4,)))
    together = mrr(evaluate(models(LeastPopularFirst()), people, only("popularity")))
    monkeypatch.setattr(scoring, "SCORE_BYTES", 2 * 4 * len(SOURCES) * len(POPULARITY))

    assert [chunk.tolist() for chunk in scoring.chunks(5, len(POPULARITY))] == [[0, 1], [2, 3], [4]]
    assert mrr(evaluate(models(LeastPopularFirst()), people, only("popularity"))) == together
    assert together["popularity"] == [1, 0.5, pytest.approx(1 / 3, abs=1e-6), 0.25, 0.25]


def test_novelty_counts_what_was_trained_on() -> None:
    """Films 4 and 5 were watched once each and the others never: of 8 counted events they are 2 each."""
    result = evaluate(models(), split(((5,), (0,)), ((4,), (0,))), only("popularity"), ablation=False)

    # Person 0 is told of 0, 1, 2, 3 and 4: four films of surprise 3 bits and one of 2.
    assert result.table["popularity"].per_person["novelty@5"].tolist() == pytest.approx([14 / 5, 14 / 5])


def figures(*ndcg: float) -> RankingMetrics:
    return RankingMetrics({"ndcg@10": np.array(ndcg)}, {})


@pytest.mark.parametrize(
    ("offline", "expected"), [({}, -0.25), ({OFFLINE: figures(0.5, 0.5)}, 0.125)], ids=["served", "offline"]
)
def test_leads_are_of_the_hybrid_over_its_best_part_and_of_the_reranker_over_the_blend(
    offline: dict[str, RankingMetrics], expected: float
) -> None:
    table = {source: figures(0.25, 0.25) for source in SOURCES} | {"ials": figures(0.5, 0.75)}
    table |= {HYBRID: figures(0.75, 1.0), BY_MLP: figures(0.5, 0.75)} | offline
    report = Evaluation(split(((5,), (0,)), ((4,), (0,))), table).report()

    assert report["best_part"] == "ials"
    assert report["lead_ndcg@10"]["mean"] == 0.25
    assert report["leads_over_dot_ndcg@10"][BY_MLP]["mean"] == expected
