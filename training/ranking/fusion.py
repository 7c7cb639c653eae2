"""Fusion weights of the sources: searched on validation people, fixed presets, and weights without one source."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from features.sources import SOURCES
from training.data.splits import Rows

Float32 = npt.NDArray[np.float32]

MIN_PEOPLE = 300
"""With fewer validation people the search overfits; weights from reciprocal ranks are used instead."""

RECIPROCAL_RANK_K = 20
POOL = 200
"""Films of each source that the search looks at, per person."""

STEPS = (0.0, 0.25, 0.5, 0.7, 0.85, 1.15, 1.4, 2.0, 4.0)
"""Multiples of a weight that one step of the search tries."""

TEXT_SHARE = 0.7
"""Text against posters in a content score."""


def _preset(embeddings: float, svd: float, item_cf: float, content: float) -> dict[str, float]:
    return dict.fromkeys(SOURCES, 0.0) | {
        "sequence": embeddings / 2, "two_tower": embeddings / 2, "ials": svd, "text": content * TEXT_SHARE,
        "poster": content * (1 - TEXT_SHARE), "ease": item_cf,
    }  # fmt: skip


PRESETS = {
    "embeddings_svd_item_cf_content_40_30_20_10": _preset(0.40, 0.30, 0.20, 0.10),
    "svd_item_cf_content_60_25_15": _preset(0.0, 0.60, 0.25, 0.15),
    "popularity": dict.fromkeys(SOURCES, 0.0) | {"popularity": 1.0},
}
"""Fixed mixes that every release carries: the factorisation stands for SVD, the neighbours for item-CF."""


@dataclass(frozen=True, slots=True)
class Pool:
    """Candidates of the search for each of P people: every source's best films, and the targets."""

    scores: Float32
    """(S, P, C) source scores; -inf in the padding and for films seen."""
    is_target: npt.NDArray[np.bool_]
    """(P, C)"""
    n_targets: Rows
    """(P,)"""


def pool(scores: Float32, seen: Sequence[Rows], targets: Sequence[Rows], size: int = POOL) -> Pool:
    """Cut (S, P, N) source scores down to the films that can matter. Changes `scores`: films seen become -inf."""
    n_people = scores.shape[1]
    for person, rows in enumerate(seen):  # ragged: one assignment per person
        scores[:, person, rows] = -np.inf
    size = min(size, scores.shape[2])
    best = np.argpartition(-scores, size - 1, axis=2)[:, :, :size]
    films = [np.union1d(best[:, person].ravel(), targets[person]) for person in range(n_people)]
    width = max(len(rows) for rows in films)
    pooled = np.full((scores.shape[0], n_people, width), -np.inf, dtype=np.float32)
    is_target = np.zeros((n_people, width), dtype=np.bool_)
    for person, rows in enumerate(films):
        pooled[:, person, : len(rows)] = scores[:, person, rows]
        is_target[person, : len(rows)] = np.isin(rows, targets[person])
    return Pool(pooled, is_target, np.array([len(rows) for rows in targets]))


def pooled_ndcg(candidates: Pool, weights: npt.NDArray[np.float64], k: int = 10) -> npt.NDArray[np.float64]:
    """(P,) NDCG@k of the weighted sum; a tie counts against the target."""
    usable = np.where(np.isfinite(candidates.scores[0]), 0, -np.inf).astype(np.float32)
    finite = np.nan_to_num(candidates.scores, neginf=0.0)
    blended = np.tensordot(weights.astype(np.float32), finite, axes=1) + usable
    # k + 1 of them: a target counts itself among those at least as high, so k others must fit beside it.
    best = np.partition(blended, -k - 1, axis=1)[:, -k - 1 :] if blended.shape[1] > k + 1 else blended
    person, column = np.nonzero(candidates.is_target)
    rank = (best[person] >= blended[person, column][:, None]).sum(axis=1) - 1
    gain = np.where(rank < k, 1 / np.log2(rank + 2), 0)
    ideal = np.cumsum(1 / np.log2(np.arange(1, k + 1) + 1))[np.minimum(candidates.n_targets, k) - 1]
    return np.bincount(person, gain, minlength=len(candidates.n_targets)) / ideal


def search(candidates: Pool, start: Mapping[str, float], rounds: int = 4) -> dict[str, float]:
    """Weights that raise the mean NDCG@10, one coordinate at a time from `start`; they sum to 1."""
    weights = np.array([start[source] for source in SOURCES], dtype=np.float64)
    best = pooled_ndcg(candidates, weights).mean()
    for _ in range(rounds):
        before = best
        for place in range(len(SOURCES)):
            floor = 0.02 * weights.sum()  # from which a weight of 0 can grow again
            for step in STEPS:
                trial = weights.copy()
                trial[place] = step * max(weights[place], floor)
                value = pooled_ndcg(candidates, trial).mean()
                if value > best:
                    best, weights = value, trial
        if best - before < 1e-4:
            break
    return as_weights(weights)


def as_weights(values: npt.NDArray[np.float64]) -> dict[str, float]:
    """(S,) numbers as weights by source that sum to 1."""
    return {source: float(value / values.sum()) for source, value in zip(SOURCES, values, strict=True)}


def reciprocal_rank_weights(candidates: Pool) -> dict[str, float]:
    """Weights in proportion to how high each source alone puts the targets: mean of 1 / (k + rank), k = 20.

    For too few people to search on: one number per source, and no choice among many to overfit.
    """
    values = np.zeros(len(SOURCES))
    person, column = np.nonzero(candidates.is_target)
    for place, scores in enumerate(candidates.scores):
        if np.ptp(scores[np.isfinite(scores)]) == 0:
            continue  # a source without scores does not rank the targets
        rank = (scores[person] > scores[person, column][:, None]).sum(axis=1)
        values[place] = (1 / (RECIPROCAL_RANK_K + 1 + rank)).mean()
    return as_weights(values if values.any() else np.ones(len(SOURCES)))


def find_weights(candidates: Pool) -> dict[str, float]:
    """The release's weights: searched with at least 300 people, otherwise from reciprocal ranks."""
    start = reciprocal_rank_weights(candidates)
    return search(candidates, start) if len(candidates.n_targets) >= MIN_PEOPLE else start


def without(weights: Mapping[str, float], source: str) -> dict[str, float]:
    """The same weights with one source at 0."""
    return {name: 0.0 if name == source else value for name, value in weights.items()}


def join(pools: Sequence[Pool]) -> Pool:
    """Pools of different people as one."""
    width = max(part.is_target.shape[1] for part in pools)

    def wide(values: npt.NDArray[np.generic], fill: float | bool) -> npt.NDArray[np.generic]:
        missing = [(0, 0)] * (values.ndim - 1) + [(0, width - values.shape[-1])]
        return np.pad(values, missing, constant_values=fill)

    return Pool(
        np.concatenate([wide(part.scores, -np.inf) for part in pools], axis=1),
        np.concatenate([wide(part.is_target, False) for part in pools], axis=0),
        np.concatenate([part.n_targets for part in pools]),
    )
