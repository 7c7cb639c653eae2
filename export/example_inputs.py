"""Inputs to try exported models with: made from a seed, edge cases among them."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from features.history import HISTORY_LENGTH, WatchHistory, history_tensors

Tensors = dict[str, npt.NDArray[Any]]
"""By name, the batch axis first."""

BATCH_SIZES = (1, 2, 7, 64)
"""One row, the smallest batch, an odd one, and the largest that any configuration allows."""

N_CANDIDATES = 200
"""C: as many as the service has scored."""


def history_batch(n_films: int, batch_size: int, seed: int) -> Tensors:
    """`history`, `ratings`, `age_days` (B, T): random lengths, the last one empty, the one before it full.

    Some films are not rated, some times are not known. A batch of one is an ordinary history.
    """
    random = np.random.default_rng([seed, batch_size])
    lengths = random.integers(1, HISTORY_LENGTH + 1, size=batch_size)
    if batch_size > 1:
        lengths[-2:] = (HISTORY_LENGTH, 0)
    return history_tensors([_history(n_films, int(length), random) for length in lengths])


def empty_history() -> Tensors:
    """A batch of one person without a history."""
    nothing = WatchHistory(np.empty(0, np.int64), np.empty(0, np.float32), np.empty(0, np.int64))
    return history_tensors([nothing])


def _history(n_films: int, length: int, random: np.random.Generator) -> WatchHistory:
    length = min(length, n_films)
    stars = random.integers(1, 11, size=length) / 2
    times = np.sort(random.integers(1_000_000_000, 1_100_000_000, size=length))
    return WatchHistory(
        random.choice(n_films, size=length, replace=False),
        np.where(random.random(length) < 0.2, 0, stars).astype(np.float32),
        np.where(random.random(length) < 0.1, 0, times),
    )


def candidate_batch(n_films: int, weights: npt.NDArray[np.float32], seed: int) -> Tensors:
    """`candidate_rows` (B, C), `contributions` (B, C, S) and the `weights` (B, S) that they were weighed with.

    One film in twenty is not the release's: it was added later.
    """
    random = np.random.default_rng([seed, len(weights)])
    rows = random.integers(0, n_films + n_films // 20 + 1, size=(len(weights), N_CANDIDATES))
    scores = random.standard_normal((*rows.shape, weights.shape[1])).astype(np.float32)
    return {"candidate_rows": rows, "contributions": scores * weights[:, None], "weights": weights}


def rows_of(batch: Tensors, rows: slice) -> Tensors:
    """Some rows of a batch."""
    return {name: tensor[rows] for name, tensor in batch.items()}
