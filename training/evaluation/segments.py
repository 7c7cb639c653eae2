"""The hybrid's quality by segment: people with few and many events, films of the head and the tail."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from training.data.splits import Rows, Split, histories_of
from training.fit.trainer import FittedModels
from training.ranking.metrics import hit_matrix, metrics_at, rank
from training.ranking.scoring import blend, chunks, source_scores

K = 10

PEOPLE = {"cold": (1, 19), "warm": (20, 99), "hot": (100, None)}
"""Name → fewest and most events known of a person when predicted."""

FILMS = {"head": 0.5, "middle": 0.8, "tail": 1.0}
"""Name → cumulative share of events, most watched films first, at which the segment ends."""


def segments(models: FittedModels, split: Split, weights: Mapping[str, float]) -> dict[str, Any]:
    """NDCG@10 and hit rate by length of history, recall@10 by popularity of films; plain values.

    Empty segments are left out. Films without training events belong to the tail.
    """
    ranked = hybrid_lists(models, split, weights)
    n_items = len(models.popularity)
    hits = hit_matrix(ranked, split.targets, n_items)
    return {
        "people": _of_people(split, hits),
        "films": _of_films(split, ranked, kinds_of_films(split.train.item_rows, n_items)),
    }


def hybrid_lists(models: FittedModels, split: Split, weights: Mapping[str, float]) -> Rows:
    """(P, K) the hybrid's best films for everyone of a split."""
    parts = []
    for people in chunks(len(split.people), len(models.popularity)):
        histories = histories_of(split.histories, people)
        seen = [history.item_rows for history in histories]
        parts.append(rank(blend(source_scores(models, histories), weights), seen, K))
    return np.concatenate(parts)


def kinds_of_films(item_rows: npt.NDArray[np.integer], n_items: int) -> npt.NDArray[np.int64]:
    """(N,) the index of each film's segment in `FILMS`, by its number of events."""
    counts = np.bincount(item_rows, minlength=n_items)
    order = np.argsort(-counts, kind="stable")
    before = (np.cumsum(counts[order]) - counts[order]) / max(1, counts.sum())
    kinds = np.empty(n_items, dtype=np.int64)
    kinds[order] = np.searchsorted(list(FILMS.values())[:-1], before, side="right")
    return kinds


def _of_people(split: Split, hits: npt.NDArray[np.bool_]) -> dict[str, Any]:
    lengths = np.array([len(history.item_rows) for history in split.histories])
    values = metrics_at(hits, np.array([len(rows) for rows in split.targets]), K)
    table = {}
    for name, (fewest, most) in PEOPLE.items():
        inside = (lengths >= fewest) & (lengths <= (most if most is not None else lengths.max(initial=0)))
        if inside.any():
            table[name] = {"people": int(inside.sum()), "fewest_events": fewest, "most_events": most} | {
                f"{metric}@{K}": _mean(values[metric][inside]) for metric in ("ndcg", "hit_rate", "recall")
            }
    return table


def _of_films(split: Split, ranked: Rows, kinds: npt.NDArray[np.int64]) -> dict[str, Any]:
    person = np.repeat(np.arange(len(split.targets)), [len(rows) for rows in split.targets])
    target = np.concatenate(split.targets)
    found = (ranked[person] == target[:, None]).any(axis=1).astype(np.float64)
    shown = kinds[ranked[ranked >= 0]]
    table = {}
    for place, name in enumerate(FILMS):
        inside = kinds[target] == place
        if inside.any():
            table[name] = {
                "films": int((kinds == place).sum()),
                "targets": int(inside.sum()),
                f"recall@{K}": _mean(found[inside]),
                "share_of_lists": float((shown == place).mean()),
            }
    return table


def _mean(values: npt.NDArray[np.float64]) -> dict[str, float]:
    error = values.std(ddof=1) / np.sqrt(len(values)) if len(values) > 1 else 0.0
    return {"mean": float(values.mean()), "se": float(error)}
