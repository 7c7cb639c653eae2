"""A person's watch history as the three tensors that every user-side model reads.

Histories are padded on the *right*: with a causal mask no film ever attends to padding, so an empty
history needs no mask of minus infinities and can never turn into NaN.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

HISTORY_LENGTH = 50
"""T: the most recent events a model sees; older ones are dropped."""

PADDING_TOKEN = 0
"""Token of "no film here". A film's token is its item_row + 1."""

SECONDS_PER_DAY = 86_400.0


@dataclass(frozen=True, slots=True)
class WatchHistory:
    """What one person watched, oldest first. All three arrays have the same length, which may be 0."""

    item_rows: npt.NDArray[np.int64]
    ratings: npt.NDArray[np.float32]
    """0.5 to 5 stars; 0 = watched without rating."""
    timestamps_s: npt.NDArray[np.int64]
    """Unix seconds; 0 = not known."""


def history_tensors(histories: Sequence[WatchHistory]) -> dict[str, npt.NDArray[np.generic]]:
    """Pad histories into the tensors `history`, `ratings` and `age_days`, each (B, T).

    history: int64 tokens (item_row + 1), oldest first, padded on the right with 0.
    ratings: float32, 0 where there is no rating and in the padding.
    age_days: float32, days from each event to the newest of its history; 0 where unknown and in the padding.
    An empty history is a row of zeros. Longer ones keep their newest T events.
    """
    shape = (len(histories), HISTORY_LENGTH)
    tokens = np.full(shape, PADDING_TOKEN, dtype=np.int64)
    ratings = np.zeros(shape, dtype=np.float32)
    age_days = np.zeros(shape, dtype=np.float32)
    for row, history in enumerate(histories):  # ragged input: one slice copy per person
        n = min(len(history.item_rows), HISTORY_LENGTH)
        if n == 0:
            continue
        tokens[row, :n] = history.item_rows[-n:] + 1
        ratings[row, :n] = history.ratings[-n:]
        stamps = history.timestamps_s[-n:]
        known = stamps > 0
        age_days[row, :n] = np.where(known, np.maximum(stamps.max() - stamps, 0) / SECONDS_PER_DAY, 0)
    return {"history": tokens, "ratings": ratings, "age_days": age_days}
