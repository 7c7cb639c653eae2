"""Validation people: the score that stops a training early, and the candidates that choose fusion weights."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from torch import nn

from features.history import history_tensors
from training.data.splits import Split, histories_of
from training.fit.trainer import FittedModels, encode
from training.ranking.fusion import Pool, join, pool
from training.ranking.metrics import measure, rank
from training.ranking.scoring import chunks, source_scores

Float32 = npt.NDArray[np.float32]


def validation_pool(models: FittedModels, split: Split) -> Pool:
    """The candidates of everyone of a split, for the search for weights."""
    pools = []
    for people in chunks(len(split.people), len(models.popularity)):
        histories = histories_of(split.histories, people)
        seen = [history.item_rows for history in histories]
        pools.append(pool(source_scores(models, histories), seen, [split.targets[row] for row in people]))
    return join(pools)


class ValidationScore:
    """NDCG@10 of one dot-product encoder on a split's people: what early stopping watches."""

    def __init__(self, split: Split) -> None:
        self.split = split
        self.tensors = history_tensors(split.histories)
        self.seen = [history.item_rows for history in split.histories]

    def __call__(self, encoder: nn.Module, item_vectors: Float32) -> float:
        """Mean NDCG@10 of (history → user vector) · item vectors (N, D)."""
        users = encode({"encoder": encoder.cpu()}, "encoder", self.tensors)[0]
        ranked = rank((users @ item_vectors.T).astype(np.float32), self.seen, 20)
        return measure(ranked, self.split.targets, np.ones(len(item_vectors), dtype=np.float32)).mean("ndcg@10")
