"""What every serving-ready module has in common: its inputs, and how it reads a padded history.

A serving module is traced and exported as it stands: no branch on data, masks are finite, and an empty
history gives a vector of zeros, which the fusion takes for "this source has nothing to say".
"""

from __future__ import annotations

from typing import Any, ClassVar, Protocol

import torch
from torch import Tensor

HISTORY_INPUTS = ("history", "ratings", "age_days")
"""Inputs of every user-side encoder; shapes and units in `features.history`."""

LIKED_STARS = 3.5
"""A film with at least this rating, or none, tells what a person likes."""

MAX_STARS = 5.0


class ServingModule(Protocol):
    """An encoder that a release serves. `config` holds the constructor's arguments, so that it can be rebuilt."""

    input_names: ClassVar[tuple[str, ...]]
    output_names: ClassVar[tuple[str, ...]]
    config: dict[str, Any]

    def __call__(self, *inputs: Tensor) -> tuple[Tensor, ...]: ...

    def state_dict(self) -> dict[str, Tensor]: ...


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
    dislike = torch.clamp((LIKED_STARS - ratings) / (LIKED_STARS - 0.5), 0, 1) * (ratings > 0).to(torch.float32)
    return 1 - (1 - disliked) * dislike
