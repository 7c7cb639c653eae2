"""Embedding health: missing values and lengths of the item vectors, source by source. Pure."""

from __future__ import annotations

import msgspec
import numpy as np
import numpy.typing as npt

from features.sources import source_slices


class EmbeddingHealth(msgspec.Struct, frozen=True):
    """The item vectors of one source."""

    width: int
    films: int
    missing: int
    """Films without a vector of this source (it is all zeros); they count as average there."""
    not_finite: int
    """Films whose vector holds NaN or infinity; always 0 in a sound release."""
    norm_mean: float
    norm_min: float
    norm_max: float
    """Of the films that have a vector; 0 when none has."""


def embedding_health(item_vectors: npt.NDArray[np.float32]) -> dict[str, EmbeddingHealth]:
    """Health by source; item_vectors: (N, D) in the fused space."""
    return {source: _health(np.asarray(item_vectors[:, columns])) for source, columns in source_slices().items()}


def _health(vectors: npt.NDArray[np.float32]) -> EmbeddingHealth:
    finite = np.isfinite(vectors).all(axis=1)
    norms = np.linalg.norm(vectors[finite], axis=1)
    present = norms[norms > 0]
    mean, low, high = (present.mean(), present.min(), present.max()) if len(present) else (0.0, 0.0, 0.0)
    return EmbeddingHealth(
        vectors.shape[1],
        len(vectors),
        int(len(norms) - len(present)),
        int(len(vectors) - len(norms)),
        round(float(mean), 4),
        round(float(low), 4),
        round(float(high), 4),
    )
