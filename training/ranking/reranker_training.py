"""Training of the re-ranker on the validation lists of the trial, whose models have not seen the targets.

Each list is what retrieval would return: a person's best films by the blend, without those of their history, the
targets excluded from both. People are split into folds (cross-validation); each fold is scored by a network trained on
the others, and those scores choose the number of epochs and measure the gain. The served network is trained on all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from features.catalog import Catalog
from features.history import WatchHistory
from features.scorers import CANDIDATES
from training.data.splits import Rows, Split
from training.fit.loop import LoopConfig, ResumePoint, fit
from training.fit.trainer import FittedModels
from training.models.mlp_scorer import N_FEATURES, MlpScorer, MlpScorerConfig, listwise_loss
from training.models.seeded_dropout import seed_dropout
from training.ranking.candidates import CandidateLists, candidate_lists, joined
from training.ranking.fusion import MIN_PEOPLE
from training.ranking.metrics import hit_matrix, metrics_at
from training.ranking.scoring import chunks, source_scores

Float64 = npt.NDArray[np.float64]

SHARPNESS = 3.0
"""Scores are multiplied by this in the loss: a film one standard deviation better is e^3 times as likely."""

K = 10

SIGNIFICANT = 2.0
"""Standard errors by which the re-ranker must be better before it is a release's default: epochs are chosen by the same
people, which biases its gain upwards."""


@dataclass(frozen=True, slots=True)
class FittedScorer:
    """The re-ranker, and its gain on people it was not trained on."""

    net: MlpScorer
    report: dict[str, Any]
    """{"default": "dot" or "mlp", "candidates": …, "people": …, "epochs": …, and of NDCG@10 {"mean", "se"} as "dot",
    "mlp" and "gain"}."""


@dataclass(frozen=True, slots=True)
class Examples:
    """Training lists, and those of them that are scored."""

    features: Tensor
    """(L, C, F) inputs of the network."""
    dot: Tensor
    """(L, C) the blend's scores; -inf at places without a film."""
    is_target: Tensor
    """(L, C)"""
    n_targets: Rows
    """(L,) number of targets of each list, in the list or not."""
    people: Rows
    """(L,) the person of each list."""
    n_scored: int
    """The first so many lists are those of the validation."""


def fit_mlp_scorer(
    trial: FittedModels, split: Split, weights: Mapping[str, float], catalog: Catalog, config: MlpScorerConfig,
    seed: int,
) -> FittedScorer:  # fmt: skip
    """Fit on a split that `trial` was not trained on; with too few people the result is the blend."""
    torch.manual_seed(seed)
    net = MlpScorer(len(catalog), config.hidden, config.dropout)
    net.know_films(catalog, split.train)
    return FittedScorer(net, learn(net, gather(net, trial, split, weights, config), config, seed))


def learn(net: MlpScorer, examples: Examples, config: MlpScorerConfig, seed: int) -> dict[str, Any]:
    """Train a network in place; returns `FittedScorer.report`."""
    net.eval()
    before = ndcg(examples, examples.dot[: examples.n_scored])
    if len(before) < MIN_PEOPLE:
        return report_of(before, before, 0)
    standardise(net, examples)
    folds = np.random.default_rng(seed).permutation(int(examples.people.max()) + 1)[examples.people] % config.folds
    # One thread each, as the encoders: the same result on every machine.
    with ThreadPoolExecutor(config.folds, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        learners = [np.flatnonzero(folds != fold) for fold in range(config.folds)]
        jobs = [pool.submit(_fit_fold, net, examples, lists, config, seed) for lists in learners]
        after = np.stack([job.result() for job in jobs])
        after = np.take_along_axis(after, folds[None, None, : examples.n_scored], axis=0)[0]
        epochs = config.stop_after or int(after.mean(axis=1).argmax()) + 1
        everybody = np.arange(len(examples.people))
        loop = replace(config, stop_after=epochs)
        pool.submit(_fit, net, examples, everybody, loop, seed).result()
    return report_of(before, after[epochs - 1], epochs)


def gather(
    net: MlpScorer, trial: FittedModels, split: Split, weights: Mapping[str, float], config: MlpScorerConfig
) -> Examples:
    """The lists of the validation, then those of unseen people at earlier points of their histories."""
    people, more, next_films = earlier(split, config.earlier_lists)
    histories, targets = (*split.histories, *more), (*split.targets, *next_films)
    parts = []
    for chunk in chunks(len(histories), len(trial.popularity)):
        some = [histories[row] for row in chunk]
        parts.append(candidate_lists(source_scores(trial, some), some, weights, CANDIDATES))
    lists = joined(parts)
    return examples_of(net, lists, targets, np.concatenate([split.people, people]), len(split.people))


def examples_of(
    net: MlpScorer, lists: CandidateLists, targets: Sequence[Rows], people: Rows, n_scored: int
) -> Examples:
    """Lists as inputs of the network. Features are computed once: every fold and epoch reads them."""
    with torch.no_grad():
        features = torch.cat([net.features(*inputs) for inputs in lists.batches()])
    is_target = torch.from_numpy(hit_matrix(lists.rows, targets, net.n_items))
    n_targets = np.array([len(rows) for rows in targets])
    return Examples(features, torch.from_numpy(lists.dot), is_target, n_targets, people, n_scored)


def earlier(split: Split, most: int) -> tuple[Rows, list[WatchHistory], list[Rows]]:
    """People, histories and the films that came next, at up to `most` points of each unseen person's history.

    An unseen person has no training event; the pasts of all others were trained on.
    """
    people: list[int] = []
    histories: list[WatchHistory] = []
    targets: list[Rows] = []
    for place in np.flatnonzero(~np.isin(split.people, split.train.user_rows)).tolist():
        history, n_targets = split.histories[place], len(split.targets[place])
        last = len(history.item_rows) - n_targets
        for cut in np.unique(np.linspace(min(n_targets, last), last, most).astype(np.int64)).tolist():
            if cut > 0:
                people.append(int(split.people[place]))
                past = slice(0, cut)
                histories.append(
                    WatchHistory(history.item_rows[past], history.ratings[past], history.timestamps_s[past])
                )
                targets.append(history.item_rows[cut : cut + n_targets])
    return np.array(people, dtype=np.int64), histories, targets


def ndcg(examples: Examples, scores: Tensor) -> Float64:
    """(P,) NDCG@10 of the lists that are scored, their films ordered by (P, C) scores."""
    n = examples.n_scored
    order = torch.sort(scores, dim=1, descending=True, stable=True).indices[:, :K]
    return metrics_at(examples.is_target[:n].gather(1, order).numpy(), examples.n_targets[:n], K)["ndcg"]


def report_of(before: Float64, after: Float64, epochs: int) -> dict[str, Any]:
    """The re-ranker's gain over the blend, and whether it is enough to make it the default."""
    gain = _mean(after - before)
    better = gain["mean"] > SIGNIFICANT * gain["se"] > 0
    return {
        "default": "mlp" if better else "dot", "candidates": CANDIDATES, "people": len(before), "epochs": epochs,
        "dot": _mean(before), "mlp": _mean(after), "gain": gain,
    }  # fmt: skip


def standardise(net: MlpScorer, examples: Examples) -> None:
    """Give every feature mean 0 and deviation 1 over all candidates; one that is the same everywhere stays at 0."""
    features = examples.features[torch.isfinite(examples.dot)]
    deviation = features.std(dim=0)
    net.middle.copy_(features.mean(dim=0))
    net.spread.copy_(torch.where(deviation > 1e-4, deviation, torch.ones(N_FEATURES)))


def _fit_fold(start: MlpScorer, examples: Examples, learns: Rows, config: MlpScorerConfig, seed: int) -> Float64:
    """(epochs, P) NDCG@10 of everybody after each epoch of a network trained on some lists."""
    net = MlpScorer(**start.config, dropout=config.dropout)
    net.load_state_dict(start.state_dict())
    found: list[Float64] = []

    def score() -> float:
        with torch.no_grad():
            corrections = net.corrections(examples.features[: examples.n_scored])
        found.append(ndcg(examples, examples.dot[: examples.n_scored] + corrections))
        return 0.0

    _fit(net, examples, learns, replace(config, stop_after=None), seed, score)
    return np.stack(found)


def _fit(
    net: MlpScorer, examples: Examples, learns: Rows, config: MlpScorerConfig, seed: int,
    score: Callable[[], float] | None = None,
) -> None:  # fmt: skip
    dropout = torch.Generator().manual_seed(seed)
    seed_dropout(net, dropout)
    lists = torch.from_numpy(learns)
    useful = lists[examples.is_target[lists].any(dim=1)]

    def losses(generator: torch.Generator) -> Iterator[Tensor]:
        shuffled = useful[torch.randperm(len(useful), generator=generator)]
        for batch in shuffled.split(config.lists_per_batch):
            scores = examples.dot[batch] + net.corrections(examples.features[batch])
            yield listwise_loss(SHARPNESS * scores, examples.is_target[batch]).mean()

    loop = LoopConfig(config.epochs, config.epochs, config.stop_after, config.learning_rate, config.weight_decay, seed)
    fit(net, losses, loop, score, resume_point=ResumePoint(None, [dropout]))


def _mean(values: Float64) -> dict[str, float]:
    error = values.std(ddof=1) / np.sqrt(len(values)) if len(values) > 1 else 0.0
    return {"mean": float(values.mean()), "se": float(error)}
