"""The fusion's graph: from a person's source vectors and weights to one query in the fused space.

`features.sources` explains why one dot product with this query is the weighted sum of z-scores.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from features.sources import FUSION_INPUTS, NEIGHBOUR_SOURCE, NEIGHBOUR_WEIGHT, SOURCE_WIDTHS, SOURCES

Float32 = npt.NDArray[np.float32]

FLAT_STD = 1e-6
"""A source whose scores spread less than this over the catalogue is left out."""


class FusedQuery(nn.Module):
    """query = concatenation of w_s / std_s(u) * u_s; std_s(u) = sqrt(u' Cov_s u), the source left out below 1e-6."""

    input_names = (*FUSION_INPUTS.values(), "weights")
    output_names = ("query", NEIGHBOUR_WEIGHT)

    def __init__(self) -> None:
        super().__init__()
        self.config: dict[str, Any] = {}
        for source, width in SOURCE_WIDTHS.items():
            self.register_buffer(f"covariance_{source}", torch.zeros(width, width))

    def forward(self, *inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Vectors (B, width of each source) and weights (B, S), in the order of `input_names` → (B, D), (B, 1).

        A source without an input has the vector 1 for everybody.
        """
        *given, weights = inputs
        vectors = dict(zip(FUSION_INPUTS, given, strict=True))
        same_for_all, parts = torch.ones_like(weights[:, :1]), []
        for column, source in enumerate(SOURCE_WIDTHS):
            vector, covariance = vectors.get(source, same_for_all), getattr(self, f"covariance_{source}")
            variance = ((vector @ covariance) * vector).sum(dim=1, keepdim=True)
            std = torch.sqrt(torch.clamp(variance, min=0.0))
            scale = torch.where(std < FLAT_STD, 0.0, 1 / torch.clamp(std, min=FLAT_STD))
            parts.append(weights[:, column : column + 1] * scale * vector)
        neighbours = SOURCES.index(NEIGHBOUR_SOURCE)
        return torch.cat(parts, dim=1), weights[:, neighbours : neighbours + 1]


def centre(vectors: Float32, present: npt.NDArray[np.bool_]) -> Float32:
    """(N, D) minus the mean of the films present; zeros where absent, which is the neutral score."""
    centred = np.zeros_like(vectors, dtype=np.float32)
    if present.any():
        centred[present] = vectors[present] - vectors[present].mean(axis=0, dtype=np.float64).astype(np.float32)
    return centred


def covariance(centred: Float32) -> Float32:
    """(N, D) centred vectors → (D, D) covariance over the films present (those that are not all zero)."""
    n_present = max(int((centred != 0).any(axis=1).sum()), 1)
    wide = centred.astype(np.float64)
    return (wide.T @ wide / n_present).astype(np.float32)


def fused_query(item_vectors: Mapping[str, Float32]) -> FusedQuery:
    """The serving module for these centred item vectors (N, width), one entry per dense source."""
    module = FusedQuery()
    for source in SOURCE_WIDTHS:
        getattr(module, f"covariance_{source}").copy_(torch.from_numpy(covariance(item_vectors[source])))
    return module
