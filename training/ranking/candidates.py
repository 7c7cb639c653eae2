"""Candidate lists of the re-ranker: each person's best films by the blend, and their order by new scores."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from features.history import WatchHistory, history_tensors
from features.sources import SOURCES
from training.data.splits import Rows
from training.ranking.metrics import rank
from training.ranking.scoring import blend

Float32 = npt.NDArray[np.float32]

AT_ONCE = 256
"""Lists that are scored together."""


@dataclass(frozen=True, slots=True)
class CandidateLists:
    """L lists of C films, best first by the blend; a list with fewer films ends in row -1."""

    histories: dict[str, npt.NDArray[np.generic]]
    """As `features.history.history_tensors` gives them."""
    rows: Rows
    """(L, C)"""
    contributions: Float32
    """(L, C, S) each source's contribution to the blend."""
    weights: Float32
    """(S,) of the blend."""

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def dot(self) -> Float32:
        """(L, C) the blend's score; -inf at places without a film."""
        return np.where(self.rows < 0, -np.inf, self.contributions.sum(axis=2)).astype(np.float32)

    def inputs(self, lists: Rows) -> list[Tensor]:
        """The inputs of both scorers, for some of the lists."""
        history = [torch.from_numpy(np.ascontiguousarray(tensor[lists])) for tensor in self.histories.values()]
        weights = torch.from_numpy(np.tile(self.weights, (len(lists), 1)))
        return [*history, torch.from_numpy(self.rows[lists]), torch.from_numpy(self.contributions[lists]), weights]

    def batches(self) -> Iterator[list[Tensor]]:
        """The inputs of all lists, some at a time."""
        for start in range(0, len(self), AT_ONCE):
            yield self.inputs(np.arange(start, min(start + AT_ONCE, len(self))))

    def scored_by(self, scorer: nn.Module) -> Float32:
        """(L, C) scores of the films."""
        with torch.no_grad():
            return torch.cat([scorer(*inputs)[0] for inputs in self.batches()]).numpy()

    def reordered(self, scores: Float32) -> Rows:
        """(L, C) rows by descending score; films of equal score stay in the blend's order."""
        return np.take_along_axis(self.rows, np.argsort(-scores, axis=1, kind="stable"), axis=1)


def candidate_lists(
    source_scores: Float32, histories: Sequence[WatchHistory], weights: Mapping[str, float], size: int
) -> CandidateLists:
    """The best films that are not in the history, by the weighted sum of (S, P, N) source scores."""
    rows = rank(blend(source_scores, weights), [history.item_rows for history in histories], size)
    weight = np.array([weights[source] for source in SOURCES], dtype=np.float32)
    person = np.arange(len(rows))[:, None]
    contributions = source_scores[:, person, np.maximum(rows, 0)].transpose(1, 2, 0) * weight
    contributions[rows < 0] = 0
    return CandidateLists(history_tensors(histories), rows, contributions.astype(np.float32), weight)


def joined(parts: Sequence[CandidateLists]) -> CandidateLists:
    """Lists of one blend, concatenated."""
    first = parts[0]
    return CandidateLists(
        {name: np.concatenate([part.histories[name] for part in parts]) for name in first.histories},
        np.concatenate([part.rows for part in parts]),
        np.concatenate([part.contributions for part in parts]),
        first.weights,
    )
