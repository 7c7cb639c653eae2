"""Principal components: projects content vectors to the widths of the fused space."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Float64 = npt.NDArray[np.float64]

_NEGLIGIBLE = 1e-6
"""Deviation along a component, relative to the first one, below which it is rounding noise."""


@dataclass(frozen=True, slots=True)
class Projection:
    """vectors (N, D) -> (N, W): subtract `mean` (D,), multiply by `components` (D, W). All float32."""

    mean: npt.NDArray[np.float32]
    components: npt.NDArray[np.float32]

    def __call__(self, vectors: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Project (N, D) to (N, W)."""
        return np.asarray((vectors - self.mean) @ self.components)


def fit_projection(vectors: npt.NDArray[np.float32], width: int) -> Projection:
    """The first `width` principal components of vectors (N, D).

    N vectors span at most N - 1 directions: columns past that (all of them for N <= 1) are zero, so the width never
    depends on the data. Signs are fixed (largest entry positive), so equal vectors give an equal projection.
    """
    depth = vectors.shape[1]
    components = np.zeros((depth, width), dtype=np.float32)
    if len(vectors) == 0:
        return Projection(np.zeros(depth, dtype=np.float32), components)
    mean: Float64 = vectors.mean(axis=0, dtype=np.float64)
    directions, deviations = _principal_axes(vectors - mean)
    used = np.flatnonzero(deviations > _NEGLIGIBLE * max(deviations[0], _NEGLIGIBLE))[:width]
    axes = directions[:, used]
    signs = np.sign(axes[np.abs(axes).argmax(axis=0), np.arange(len(used))])
    components[:, : len(used)] = axes * signs
    return Projection(mean.astype(np.float32), components)


def _principal_axes(centred: Float64) -> tuple[Float64, Float64]:
    """Directions as columns, and the deviation (times sqrt N) along each, largest first."""
    if len(centred) < centred.shape[1]:
        _, deviations, rows = np.linalg.svd(centred, full_matrices=False)
        return rows.T, deviations
    variances, columns = np.linalg.eigh(centred.T @ centred)  # D x D: N may be large
    return columns[:, ::-1], np.sqrt(np.maximum(variances[::-1], 0))
