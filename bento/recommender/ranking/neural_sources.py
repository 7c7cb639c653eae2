"""The hybrid without neural networks, from watch histories alone, for `use_embeddings=false`. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from features.sources import NEIGHBOUR_SOURCE, NEURAL_SOURCES


def without_embeddings(weights: Mapping[str, float]) -> dict[str, float]:
    """The weights of the sources that are no neural network; item-to-item alone where none has any."""
    kept = {source: weight for source, weight in weights.items() if source not in NEURAL_SOURCES and weight}
    return kept or {NEIGHBOUR_SOURCE: 1.0}
