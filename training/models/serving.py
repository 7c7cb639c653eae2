"""Shared by all serving modules: their inputs, and the reading of a padded history.

A serving module is traced and exported unchanged: no branch on data, finite masks, and an empty history
gives a vector of zeros, for which the fusion leaves the source out.
"""

from __future__ import annotations

import torch
from torch import Tensor

from features.thresholds import LIKED_FROM, MIN_STARS

HISTORY_INPUTS = ("history", "ratings", "age_days")
"""Inputs of every user-side encoder; shapes and units in `features.history`."""


def is_present(history: Tensor) -> Tensor:
    """(B, T) tokens → (B, T) 1.0 where there is a film, 0.0 in the padding."""
    return (history > 0).to(torch.float32)


def steps_back(present: Tensor) -> Tensor:
    """(B, T) how many films came after each one: 0 for the newest. Meaningless in the padding."""
    return present.sum(dim=1, keepdim=True) - torch.cumsum(present, dim=1)


def recency_weights(present: Tensor, half_life_films: float, floor: float = 0.0) -> Tensor:
    """(B, T) weights that halve every `half_life_films` films back towards `floor`; 0 in the padding."""
    fading = torch.exp2(-steps_back(present) / half_life_films)
    return present * (floor + (1 - floor) * fading)


def rating_weights(ratings: Tensor, disliked: float) -> Tensor:
    """(B, T) 1 for films liked or not rated, falling linearly to `disliked` for the lowest rating."""
    dislike = torch.clamp((LIKED_FROM - ratings) / (LIKED_FROM - MIN_STARS), 0, 1) * (ratings > 0).to(torch.float32)
    return 1 - (1 - disliked) * dislike
