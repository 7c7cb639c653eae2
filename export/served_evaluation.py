"""How good an exported release is: its encoders from their ONNX files, the hybrid asked of the running server."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from export.asking import Asker, ask, questions
from export.exported import exported_models
from export.manifest import Release
from training.data.dataset import Dataset
from training.data.splits import Protocol, Rows, Split
from training.evaluation.evaluate import BY_MLP, HYBRID, OFFLINE, Evaluation, evaluate
from training.ranking.metrics import CUTOFFS, RankingMetrics, measure

K = max(CUTOFFS)

BY_MLP_OFFLINE = f"{BY_MLP} offline"

ROW_OF = {
    Asker.STRANGER: HYBRID,
    Asker.KNOWN_PERSON: f"{HYBRID} by user_id",
    Asker.STRANGER_BY_MLP: BY_MLP,
    Asker.STRANGER_WITH_BARE_IDS: f"{HYBRID} by bare film ids",
}
"""Row of the table for each way to ask."""

Track = Callable[[Iterator[Rows], int, str], Iterator[Rows]]
"""Passes answers on and shows progress: (answers, how many there will be, what they are)."""


def evaluate_exported(repository: Path, number: int, release: Release, split: Split) -> Evaluation:
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
    for asker in askers(split.protocol):
        bodies = questions(split, asker, dataset.catalog, dataset.user_ids, K)
        answers = ask(url, bodies, dataset.catalog, K)
        ranked = np.stack(list(track(answers, len(split.people), f"Asking as {asker}")))
        table[ROW_OF[asker]] = measure(ranked, split.targets, counts)
    return table


def askers(protocol: Protocol) -> list[Asker]:
    """Who can ask under a protocol: nobody knows the people of `newuser`."""
    return [asker for asker in ROW_OF if asker is not Asker.KNOWN_PERSON or protocol is not Protocol.NEWUSER]


def joined(offline: Evaluation, served: dict[str, RankingMetrics]) -> Evaluation:
    """One table: the sources, what was served, and what each source is worth."""
    sources = {row: metrics for row, metrics in offline.table.items() if not row.startswith(HYBRID)}
    blends = {row: metrics for row, metrics in offline.table.items() if row.startswith(HYBRID)}
    return replace(offline, table=sources | served | blends)
