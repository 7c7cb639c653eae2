"""Implicit ALS: film factors from everyone's history, and fold-in of a person's factors inside the graph.

Source: Hu, Koren, Volinsky, "Collaborative Filtering for Implicit Feedback Datasets", ICDM 2008; the films'
factors come from the library `implicit`. People's factors are not stored: the served module solves each person's
least-squares problem by a fixed number of conjugate-gradient steps, so that a new event counts at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from scipy import sparse
from threadpoolctl import threadpool_limits
from torch import Tensor, nn

from training.models.serving import HISTORY_INPUTS, is_present, rating_weights, recency_weights

Float32 = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class IalsConfig:
    """Factorisation and fold-in."""

    width: int = 64
    alpha: float = 5.0
    """Confidence of a watched film is 1 + alpha."""
    l2: float = 5.0
    iterations: int = 15
    fold_in_alpha: float = 5.0
    half_life_films: float = 5.0
    floor: float = 0.0
    disliked: float = 1.0
    cg_steps: int = 12


class IalsUser(nn.Module):
    """A person's factors from their history: (YtY + l2 + sum c y y') u = sum (1 + c) y, c weighted by recency."""

    input_names = HISTORY_INPUTS
    output_names = ("user_embedding",)
    item_factors: Tensor
    gram: Tensor

    def __init__(
        self, n_items: int, width: int, alpha: float, l2: float, half_life_films: float, floor: float,
        disliked: float, cg_steps: int,
    ) -> None:  # fmt: skip
        super().__init__()
        self.config: dict[str, Any] = {
            "n_items": n_items, "width": width, "alpha": alpha, "l2": l2, "half_life_films": half_life_films,
            "floor": floor, "disliked": disliked, "cg_steps": cg_steps,
        }  # fmt: skip
        self.alpha, self.half_life_films, self.floor = alpha, half_life_films, floor
        self.disliked, self.cg_steps = disliked, cg_steps
        self.register_buffer("item_factors", torch.zeros(n_items + 1, width))
        self.register_buffer("gram", l2 * torch.eye(width))

    def forward(self, history: Tensor, ratings: Tensor, age_days: Tensor) -> tuple[Tensor]:
        """(B, T) each → user_embedding (B, D)."""
        present = is_present(history)
        recency = recency_weights(present, self.half_life_films, self.floor)
        confidence = self.alpha * recency * rating_weights(ratings, self.disliked)
        factors = self.item_factors[history]
        weighted = factors * confidence.unsqueeze(-1)
        target = (1 + 1 / self.alpha) * weighted.sum(dim=1, keepdim=True)
        # As one matrix per person: the steps are then products of (1, D) and (D, D) instead of passes over (T, D).
        normal = self.gram + weighted.transpose(1, 2) @ factors
        user = torch.zeros_like(target)
        residual, direction = target, target
        squared = (residual * residual).sum(dim=2, keepdim=True)
        for _ in range(self.cg_steps):  # unrolled in the exported graph
            image = direction @ normal
            # Both quotients are 0/0 once solved, and from the start for an empty history.
            step = squared / torch.clamp((direction * image).sum(dim=2, keepdim=True), min=1e-20)
            user = user + step * direction
            residual = residual - step * image
            remaining = (residual * residual).sum(dim=2, keepdim=True)
            direction = residual + remaining / torch.clamp(squared, min=1e-20) * direction
            squared = remaining
        return (user.squeeze(1),)


def fit_ials(user_rows: npt.NDArray[np.integer], item_rows: npt.NDArray[np.integer], n_items: int,
             config: IalsConfig, seed: int = 0) -> tuple[IalsUser, Float32]:  # fmt: skip
    """Fit on watched films; returns the fold-in module and the films' factors (N, D), 0 where never watched."""
    from implicit.cpu.als import AlternatingLeastSquares  # slow to import, and only training needs it

    people, person = np.unique(user_rows, return_inverse=True)
    watched = sparse.csr_matrix(
        (np.ones(len(item_rows), dtype=np.float32), (person, item_rows)), shape=(len(people), n_items)
    )
    with threadpool_limits(1, "blas"):  # the library's own threads and BLAS' get in each other's way
        als = AlternatingLeastSquares(
            factors=config.width, regularization=config.l2, alpha=config.alpha, iterations=config.iterations,
            random_state=seed,
        )  # fmt: skip
        als.fit(watched, show_progress=False)
    factors = np.asarray(als.item_factors, dtype=np.float32).copy()
    factors[np.bincount(item_rows, minlength=n_items) == 0] = 0
    model = IalsUser(
        n_items, config.width, config.fold_in_alpha, config.l2, config.half_life_films, config.floor,
        config.disliked, config.cg_steps,
    )  # fmt: skip
    model.item_factors[1:] = torch.from_numpy(factors)
    model.gram += torch.from_numpy(factors.T @ factors)
    return model, factors
