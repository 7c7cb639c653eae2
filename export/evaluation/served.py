"""How good an exported release is: its encoders from their ONNX files, the hybrid from a running server."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from export.evaluation.client import RequestKind, request_bodies, request_recommendations
from export.evaluation.exported_models import exported_models
from features.release_manifest import ReleaseFacts
from training.data.dataset import Dataset
from training.data.splits import Protocol, Rows, Split
from training.evaluation.evaluate import BY_MLP, HYBRID, OFFLINE, Evaluation, evaluate
from training.ranking.metrics import CUTOFFS, RankingMetrics, measure

K = max(CUTOFFS)

BY_MLP_OFFLINE = f"{BY_MLP} offline"

ROW_OF = {
    RequestKind.HISTORY: HYBRID,
    RequestKind.USER_ID: f"{HYBRID} by user_id",
    RequestKind.HISTORY_BY_MLP: BY_MLP,
    RequestKind.MOVIE_IDS: f"{HYBRID} by bare film ids",
}
"""Row of the table for each kind of request."""

Track = Callable[[Iterator[Rows], int, str], Iterator[Rows]]
"""Passes answers on and shows progress: (answers, how many there will be, what they are)."""


def evaluate_exported(repository: Path, number: int, release: ReleaseFacts, split: Split) -> Evaluation:
    """As `training.evaluation.evaluate`, with the encoders and vectors read from the release's files."""
    offline = evaluate(exported_models(repository, number), split, release.fusion.weights)
    renamed = {HYBRID: OFFLINE, BY_MLP: BY_MLP_OFFLINE}
    table = {renamed.get(row, row): metrics for row, metrics in offline.table.items()}
    return replace(offline, table=table)


def evaluate_served(url: str, dataset: Dataset, split: Split, track: Track) -> dict[str, RankingMetrics]:
    """Metrics of the running server's answers for everyone of a split, by row of the table.

    Raises: AnswerUnusable, httpx.TransportError.
    """
    counts = np.bincount(split.train.item_rows, minlength=len(dataset.catalog)).astype(np.float32)
    table = {}
    for kind in request_kinds(split.protocol):
        bodies = request_bodies(split, kind, dataset.catalog, dataset.user_ids, K)
        answers = request_recommendations(url, bodies, dataset.catalog, K)
        ranked = np.stack(list(track(answers, len(split.people), f"Requests by {kind}")))
        table[ROW_OF[kind]] = measure(ranked, split.targets, counts)
    return table


def request_kinds(protocol: Protocol) -> list[RequestKind]:
    """The kinds that a protocol allows: the release does not hold the people of `newuser`."""
    return [kind for kind in ROW_OF if kind is not RequestKind.USER_ID or protocol is not Protocol.NEWUSER]


def joined(offline: Evaluation, served: dict[str, RankingMetrics]) -> Evaluation:
    """One table: the sources, what was served, and what each source is worth."""
    sources = {row: metrics for row, metrics in offline.table.items() if not row.startswith(HYBRID)}
    blends = {row: metrics for row, metrics in offline.table.items() if row.startswith(HYBRID)}
    return replace(offline, table=sources | served | blends)
