"""Popularity: number of events of each film, newer events weighted higher."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from features.history import SECONDS_PER_DAY

Float32 = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class PopularityConfig:
    """Decay of an event's weight."""

    half_life_days: float = 0.0
    """An event counts half after this many days before the newest event; 0 = never fades."""


def fit_popularity(
    item_rows: npt.NDArray[np.integer], timestamps_s: npt.NDArray[np.integer], n_items: int, config: PopularityConfig
) -> Float32:
    """(N,) weighted event counts; 0 for a film never watched."""
    weights = np.ones(len(item_rows))
    if config.half_life_days > 0 and len(item_rows):
        age_days = (timestamps_s.max() - timestamps_s) / SECONDS_PER_DAY
        weights = 0.5 ** (age_days / config.half_life_days)
    return np.bincount(item_rows, weights, minlength=n_items).astype(np.float32)
