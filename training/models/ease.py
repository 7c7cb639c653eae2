"""EASE^R: an item-to-item model in closed form, served from each film's strongest neighbours.

Source: Steck, "Embarrassingly Shallow Autoencoders for Sparse Data", WWW 2019.
With fewer people than films the inverse is taken on the people's side (Woodbury), which is exact and cheaper.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from scipy import sparse
from torch import Tensor, nn

from training.models.serving import HISTORY_INPUTS, is_present, rating_weights, recency_weights

Float32 = npt.NDArray[np.float32]

NO_ROW = -1
"""Candidate row of a place without a score."""

DENSE_UP_TO = 2_000
"""N up to which a history's rows of the dense matrix are added up, instead of scattering 256 neighbours of each of 50
films: less time up to here, but 16 MB of memory at 2,000 films, and four times as much at twice as many."""


@dataclass(frozen=True, slots=True)
class EaseConfig:
    """Regularisation of EASE, and the weights of a history when served."""

    l2: float = 300.0
    max_items: int = 16_000
    """Films beyond the most watched this many get no neighbours: the inverse grows with the cube."""
    neighbours: int = 256
    """M: neighbours kept per film, those of the largest weight of either sign: without the negative ones
    NDCG on ml-latest-small is 4 % lower."""
    candidates: int = 512
    """C: films with the highest scores that the model returns."""
    half_life_films: float = 3.0
    floor: float = 0.05
    disliked: float = 1.0


class EaseModel(nn.Module):
    """Scores of the best C films for a history, divided by their spread over the catalogue."""

    input_names = HISTORY_INPUTS
    output_names = ("candidate_rows", "candidate_scores")
    neighbour_rows: Tensor
    neighbour_weights: Tensor

    def __init__(
        self, n_items: int, neighbours: int, candidates: int, half_life_films: float, floor: float, disliked: float
    ) -> None:
        super().__init__()
        self.config: dict[str, Any] = {
            "n_items": n_items, "neighbours": neighbours, "candidates": candidates,
            "half_life_films": half_life_films, "floor": floor, "disliked": disliked,
        }  # fmt: skip
        self.n_items, self.candidates = n_items, candidates
        self.half_life_films, self.floor, self.disliked = half_life_films, floor, disliked
        # Row 0 is the padding token: its weights are 0, so that padding adds nothing.
        self.register_buffer("neighbour_rows", torch.zeros(n_items + 1, neighbours, dtype=torch.int32))
        self.register_buffer("neighbour_weights", torch.zeros(n_items + 1, neighbours))

    def forward(self, history: Tensor, ratings: Tensor, age_days: Tensor) -> tuple[Tensor, Tensor]:
        """(B, T) each → rows (B, C) int64, -1 where no score is left; scores (B, C), highest first."""
        present = is_present(history)
        strength = recency_weights(present, self.half_life_films, self.floor) * rating_weights(ratings, self.disliked)
        empty = torch.zeros_like(present[:, :1]).expand(-1, self.n_items + 1)
        scores = self._dense(history, strength) if self.n_items <= DENSE_UP_TO else self._sparse(history, strength)
        unseen = (empty + 1).scatter(1, history, torch.zeros_like(present))
        scores = (scores * unseen)[:, 1:]
        spread = torch.sqrt(torch.mean((scores - scores.mean(dim=1, keepdim=True)) ** 2, dim=1, keepdim=True))
        scaled = scores / torch.clamp(spread, min=1e-12)
        best, best_rows = torch.topk(scaled, self.candidates, dim=1)
        scored = best > 0
        return torch.where(scored, best_rows, NO_ROW), torch.where(scored, best, 0.0)

    def _dense(self, history: Tensor, strength: Tensor) -> Tensor:
        """(B, N + 1) weighted sum of the history's rows of the whole matrix."""
        # Made of constants alone: onnxruntime computes it once, when it reads the graph.
        matrix = torch.zeros(self.n_items + 1, self.n_items + 1, device=history.device)
        matrix = matrix.scatter_add(1, self.neighbour_rows.to(torch.int64) + 1, self.neighbour_weights)
        return (strength.unsqueeze(1) @ matrix[history]).squeeze(1)

    def _sparse(self, history: Tensor, strength: Tensor) -> Tensor:
        """(B, N + 1) the same, from the neighbours alone."""
        rows = self.neighbour_rows[history].to(torch.int64).flatten(1)
        votes = (self.neighbour_weights[history] * strength.unsqueeze(-1)).flatten(1)
        # An extra column takes the padding's writes; `forward` cuts it off again.
        empty = torch.zeros_like(strength[:, :1]).expand(-1, self.n_items + 1)
        return empty.scatter_add(1, rows + 1, votes)


def fit_ease(user_rows: npt.NDArray[np.integer], item_rows: npt.NDArray[np.integer], n_items: int,
             config: EaseConfig) -> EaseModel:  # fmt: skip
    """Fit on watched films (ratings are not used) and keep each film's strongest neighbours."""
    watched, film_rows = most_watched(user_rows, item_rows, n_items, config.max_items)
    model = EaseModel(
        n_items, min(config.neighbours, max(len(film_rows) - 1, 1)), min(config.candidates, n_items),
        config.half_life_films, config.floor, config.disliked,
    )  # fmt: skip
    keep_strongest(model, item_weights(watched, config.l2), film_rows)
    return model


def most_watched(
    user_rows: npt.NDArray[np.integer], item_rows: npt.NDArray[np.integer], n_items: int, max_items: int
) -> tuple[sparse.csr_matrix, npt.NDArray[np.int64]]:
    """Who watched what, 0 or 1, over the most watched films alone; and those films' rows, ascending."""
    counts = np.bincount(item_rows, minlength=n_items)
    film_rows = np.sort(np.argsort(-counts, kind="stable")[: min(max_items, int((counts > 0).sum()))])
    column = np.full(n_items, -1)
    column[film_rows] = np.arange(len(film_rows))
    inside = column[item_rows] >= 0
    people, person = np.unique(user_rows[inside], return_inverse=True)
    watched = sparse.csr_matrix(
        (np.ones(int(inside.sum()), dtype=np.float32), (person, column[item_rows[inside]])),
        shape=(len(people), len(film_rows)),
    )
    return watched, film_rows


def item_weights(watched: sparse.csr_matrix, l2: float) -> Float32:
    """EASE's matrix B (N, N): the score of film i is the sum of B[j, i] over the films j watched."""
    n_people, n_items = watched.shape
    if n_people < n_items:
        dense = watched.toarray()
        inner = np.linalg.inv(dense @ dense.T + l2 * np.eye(n_people, dtype=np.float32)).astype(np.float32)
        precision = dense.T @ (inner @ dense)
        np.negative(precision, out=precision)
        precision[np.diag_indices(n_items)] += 1  # times 1 / l2, which the division below cancels
    else:
        gram = common_people(watched)
        gram[np.diag_indices(n_items)] += l2
        precision = np.linalg.inv(gram)
    weights = precision / -np.diag(precision)
    np.fill_diagonal(weights, 0)
    return weights.astype(np.float32, copy=False)


def common_people(watched: sparse.csr_matrix) -> Float32:
    """(N, N) how many people watched both films."""
    counts = np.empty((watched.shape[1], watched.shape[1]), dtype=np.float32)
    by_film = watched.T.tocsr()
    for start in range(0, len(counts), 1024):  # in blocks: as one sparse product it would take three times the memory
        counts[start : start + 1024] = (by_film[start : start + 1024] @ watched).toarray()
    return counts


def keep_strongest(model: EaseModel, weights: Float32, film_rows: npt.NDArray[np.int64]) -> None:
    """Write the M weights of largest magnitude of each film into the model's tables."""
    m = model.neighbour_rows.shape[1]
    rows, values = model.neighbour_rows.numpy(), model.neighbour_weights.numpy()
    for start in range(0, len(film_rows), 1024):  # in blocks: argpartition's index matrix is as large as the weights
        block = weights[start : start + 1024]
        strongest = np.argpartition(-np.abs(block), m - 1, axis=1)[:, :m] if m < block.shape[1] else _all_columns(block)
        strength = np.take_along_axis(block, strongest, axis=1)
        tokens = film_rows[start : start + 1024] + 1
        rows[tokens, : strongest.shape[1]] = film_rows[strongest]
        values[tokens, : strongest.shape[1]] = strength


def _all_columns(block: Float32) -> npt.NDArray[np.int64]:
    return np.broadcast_to(np.arange(block.shape[1]), block.shape)
