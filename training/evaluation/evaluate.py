"""Metrics of fitted models on held-out people: each source alone, the hybrid, and the hybrid without each source."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from features.scorers import CANDIDATES, MLP, SCORER_MODELS
from features.sources import SOURCES
from training.data.splits import Rows, Split, histories_of
from training.fit.trainer import FittedModels
from training.ranking.candidates import candidate_lists
from training.ranking.fusion import without
from training.ranking.metrics import CUTOFFS, Interval, RankingMetrics, measure, paired_bootstrap, rank
from training.ranking.scoring import blend, chunks, source_scores

Float32 = npt.NDArray[np.float32]

HYBRID = "hybrid"
BY_MLP = f"{HYBRID} by mlp"
"""The hybrid's best films in the re-ranker's order."""

OFFLINE = f"{HYBRID} offline"
"""The blend of exported encoders without a server; the server must give the same lists."""


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Metrics of everything that can rank the catalogue, for one split."""

    split: Split
    table: dict[str, RankingMetrics]
    """By source, "hybrid", "hybrid without <source>", and "hybrid by mlp" where there is a re-ranker."""

    def report(self) -> dict[str, Any]:
        """The table as plain values for JSON, with the hybrid's lead over its best part."""
        best = max(SOURCES, key=lambda source: self.table[source].mean("ndcg@10"))
        lead = self.lead_over(best)
        reranked = {BY_MLP: _plain(self.lead_of_mlp())} if BY_MLP in self.table else {}
        return {
            "protocol": str(self.split.protocol),
            "people": len(self.split.people),
            "sources": {name: metrics.summary() for name, metrics in self.table.items()},
            "best_part": best,
            "lead_ndcg@10": _plain(lead),
            "leads_over_dot_ndcg@10": reranked,
        }

    def lead_over(self, name: str) -> Interval:
        """Paired bootstrap interval of the hybrid's NDCG@10 over another row's."""
        return self._lead(HYBRID, name)

    def lead_of_mlp(self) -> Interval:
        """The same of the re-ranker's order over the dot product's."""
        return self._lead(BY_MLP, OFFLINE if OFFLINE in self.table else HYBRID)

    def _lead(self, better: str, worse: str) -> Interval:
        return paired_bootstrap(self.table[better].per_person["ndcg@10"], self.table[worse].per_person["ndcg@10"])


def _plain(interval: Interval) -> dict[str, float]:
    return {"mean": interval.mean, "low": interval.low, "high": interval.high}


def evaluate(models: FittedModels, split: Split, weights: Mapping[str, float], ablation: bool = True) -> Evaluation:
    """Rank the whole catalogue for everyone of a split, by each source alone and by their blend."""
    mixes = {source: dict.fromkeys(SOURCES, 0.0) | {source: 1.0} for source in SOURCES} | {HYBRID: dict(weights)}
    if ablation:
        mixes |= {f"{HYBRID} without {source}": without(weights, source) for source in SOURCES}
    scorer = models.encoders.get(SCORER_MODELS[MLP])
    ranked: dict[str, list[Rows]] = {name: [] for name in (*mixes, BY_MLP)}
    for people in chunks(len(split.people), len(models.popularity)):
        histories = histories_of(split.histories, people)
        scores = source_scores(models, histories)
        seen = [history.item_rows for history in histories]
        for name, mix in mixes.items():
            ranked[name].append(rank(blend(scores, mix), seen))
        if scorer is not None:
            lists = candidate_lists(scores, histories, weights, CANDIDATES)
            ranked[BY_MLP].append(lists.reordered(lists.scored_by(scorer))[:, : max(CUTOFFS)])
    counts = np.bincount(split.train.item_rows, minlength=len(models.popularity)).astype(np.float32)
    return Evaluation(
        split,
        {name: measure(np.concatenate(parts), split.targets, counts) for name, parts in ranked.items() if parts},
    )
