"""Ranking metrics over the whole catalogue, their standard errors, and paired differences.

Every metric is first a number per person; means, standard errors and bootstrap intervals come from those.
Ties in score are broken by a hash of the film, so that the catalogue's order has no effect.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from training.data.splits import Rows, mixed_hash

Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]

CUTOFFS = (5, 10, 20)
"""K of each metric; ranked lists are as long as the largest."""


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean difference and its 95 % interval."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class RankingMetrics:
    """Quality of ranked lists for P people."""

    per_person: dict[str, Float64]
    """"ndcg@10" → (P,)."""
    coverage: dict[int, float]
    """K → share of the catalogue that is in anyone's first K."""

    def mean(self, name: str) -> float:
        """Mean over people, for example of "ndcg@10"."""
        return float(self.per_person[name].mean())

    def standard_error(self, name: str) -> float:
        """Standard error of that mean; 0 for a single person."""
        values = self.per_person[name]
        return float(values.std(ddof=1) / np.sqrt(len(values))) if len(values) > 1 else 0.0

    def summary(self) -> dict[str, dict[str, float]]:
        """Each metric's mean and standard error, as plain numbers for JSON."""
        table = {name: {"mean": self.mean(name), "se": self.standard_error(name)} for name in self.per_person}
        return table | {f"coverage@{k}": {"mean": value, "se": 0.0} for k, value in self.coverage.items()}


def rank(scores: Float32, seen: Sequence[Rows], k: int = max(CUTOFFS)) -> Rows:
    """Rows of each person's k highest scores, best first, without the films seen.

    scores: (P, N); rows scored -inf are never returned. seen: P arrays of item rows.
    Returns (P, k); unfilled places are -1.
    """
    n_items = scores.shape[1]
    masked = scores.astype(np.float32, copy=True)
    for person, rows in enumerate(seen):  # ragged: one assignment per person
        masked[person, rows] = -np.inf
    keys = _sortable(masked)
    places = min(k, n_items)
    best = np.argpartition(keys, n_items - places, axis=1)[:, n_items - places :]
    best = np.take_along_axis(best, np.argsort(np.take_along_axis(keys, best, axis=1), axis=1)[:, ::-1], axis=1)
    ranked = np.where(np.take_along_axis(masked, best, axis=1) > -np.inf, best, -1)
    return np.pad(ranked, ((0, 0), (0, k - places)), constant_values=-1)


def _sortable(scores: Float32) -> npt.NDArray[np.uint64]:
    """(P, N) whole numbers that sort as the scores do, and by the films' hashes where scores tie."""
    bits = (scores + np.float32(0)).view(np.uint32)  # + 0: there is a second zero, of negative sign
    negative = bits >> np.uint32(31) == 1
    ascending = np.where(negative, ~bits, bits | np.uint32(1 << 31)).astype(np.uint64)
    return ascending << np.uint64(32) | mixed_hash(np.arange(scores.shape[1])) >> np.uint64(32)


def measure(ranked: Rows, targets: Sequence[Rows], popularity: Float32) -> RankingMetrics:
    """All metrics of ranked lists.

    ranked: (P, K) item rows, -1 where unfilled. targets: P non-empty arrays of item rows.
    popularity: (N,) event counts of the training events; novelty is the mean of -log2 of a film's share of them.
    """
    n_items = len(popularity)
    hits = hit_matrix(ranked, targets, n_items)
    n_targets = np.array([len(rows) for rows in targets])
    # One more event for everyone: a film without events is very novel, not infinitely so.
    surprise = -np.log2((popularity + 1) / (popularity + 1).sum())
    filled = ranked >= 0
    surprise_at = np.where(filled, surprise[np.maximum(ranked, 0)], 0)
    per_person: dict[str, Float64] = {}
    for k in CUTOFFS:
        per_person |= {f"{name}@{k}": value for name, value in metrics_at(hits, n_targets, k).items()}
        per_person[f"novelty@{k}"] = surprise_at[:, :k].sum(1) / np.maximum(filled[:, :k].sum(1), 1)
    shown = {k: np.unique(ranked[:, :k][filled[:, :k]]).size / n_items for k in CUTOFFS}
    return RankingMetrics(per_person, shown)


def hit_matrix(ranked: Rows, targets: Sequence[Rows], n_items: int) -> npt.NDArray[np.bool_]:
    """(P, K) whether the film at each place is one of the person's targets."""
    person = np.repeat(np.arange(len(targets)), [len(rows) for rows in targets])
    wanted = person * n_items + np.concatenate(targets)
    return np.isin(np.arange(len(ranked))[:, None] * n_items + ranked, wanted) & (ranked >= 0)


def metrics_at(hits: npt.NDArray[np.bool_], n_targets: Rows, k: int) -> dict[str, Float64]:
    """Each person's metrics at one cutoff.

    hits: (P, ≥ k). NDCG's ideal and MAP's denominator count min(targets, k) hits.
    """
    top = hits[:, :k].astype(np.float64)
    places = np.arange(1, top.shape[1] + 1)
    possible = np.minimum(n_targets, k)
    discount = 1 / np.log2(np.arange(1, k + 1) + 1)
    precision_at_hits = np.cumsum(top, axis=1) / places * top
    any_hit = top.any(axis=1)
    first = np.argmax(top, axis=1) + 1
    return {
        "recall": top.sum(1) / n_targets,
        "precision": top.sum(1) / k,
        "ndcg": top @ discount[: top.shape[1]] / np.cumsum(discount)[possible - 1],
        "hit_rate": any_hit.astype(np.float64),
        "map": precision_at_hits.sum(1) / possible,
        "mrr": np.where(any_hit, 1 / first, 0),
    }


def paired_bootstrap(better: Float64, worse: Float64, samples: int = 10_000, seed: int = 0) -> Interval:
    """95 % interval of the mean of better - worse, resampling people.

    better, worse: (P,) the same people in the same order. Source: percentile bootstrap, Efron 1979.
    """
    difference = better - worse
    rng = np.random.default_rng(seed)
    means = np.empty(samples)
    block = max(1, 4_000_000 // len(difference))
    for start in range(0, samples, block):  # in blocks: all samples at once would need samples * P indices
        stop = min(start + block, samples)
        means[start:stop] = difference[rng.integers(len(difference), size=(stop - start, len(difference)))].mean(1)
    low, high = np.quantile(means, [0.025, 0.975])
    return Interval(float(difference.mean()), float(low), float(high))
