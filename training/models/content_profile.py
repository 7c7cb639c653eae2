"""A person's content profile: the weighted mean of the content vectors of films they liked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from features.thresholds import LIKED_FROM, MAX_STARS
from training.models.serving import HISTORY_INPUTS, is_present, recency_weights

Float32 = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class ContentProfileConfig:
    """How a history is weighted."""

    half_life_films: float = 5.0
    floor: float = 0.0


class ContentProfile(nn.Module):
    """Mean text and poster vectors of films liked, weighted by rating and recency."""

    input_names = HISTORY_INPUTS
    output_names = ("text_profile", "poster_profile")
    text: Tensor
    poster: Tensor
    text_present: Tensor
    poster_present: Tensor

    def __init__(self, n_items: int, text_width: int, poster_width: int, half_life_films: float, floor: float) -> None:
        super().__init__()
        self.config: dict[str, Any] = {
            "n_items": n_items, "text_width": text_width, "poster_width": poster_width,
            "half_life_films": half_life_films, "floor": floor,
        }  # fmt: skip
        self.half_life_films, self.floor = half_life_films, floor
        self.register_buffer("text", torch.zeros(n_items + 1, text_width))
        self.register_buffer("poster", torch.zeros(n_items + 1, poster_width))
        self.register_buffer("text_present", torch.zeros(n_items + 1))
        self.register_buffer("poster_present", torch.zeros(n_items + 1))

    def forward(self, history: Tensor, ratings: Tensor, age_days: Tensor) -> tuple[Tensor, Tensor]:
        """(B, T) each → text_profile (B, Dt), poster_profile (B, Dp); zeros when nothing liked has such a vector."""
        unrated = (ratings <= 0).to(torch.float32)
        liked = (ratings >= LIKED_FROM).to(torch.float32)
        weight = recency_weights(is_present(history), self.half_life_films, self.floor)
        weight = weight * (unrated + liked * ratings / MAX_STARS)
        return (
            weighted_mean(self.text[history], weight * self.text_present[history]),
            weighted_mean(self.poster[history], weight * self.poster_present[history]),
        )


def weighted_mean(vectors: Tensor, weights: Tensor) -> Tensor:
    """(B, T, D), (B, T) → (B, D); zeros where all weights are 0."""
    total = torch.clamp(weights.sum(dim=1, keepdim=True), min=1e-12)
    return (vectors * weights.unsqueeze(-1)).sum(dim=1) / total


def content_profile(
    text: Float32, text_present: npt.NDArray[np.bool_], poster: Float32, poster_present: npt.NDArray[np.bool_],
    config: ContentProfileConfig,
) -> ContentProfile:  # fmt: skip
    """The serving module over centred vectors (N, D) in PCA space."""
    module = ContentProfile(len(text), text.shape[1], poster.shape[1], config.half_life_films, config.floor)
    for name, values in {
        "text": text, "poster": poster, "text_present": text_present, "poster_present": poster_present
    }.items():  # fmt: skip
        getattr(module, name)[1:] = torch.from_numpy(np.asarray(values, dtype=np.float32))
    return module
