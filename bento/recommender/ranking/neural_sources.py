"""The hybrid without neural networks, from watch histories alone, for `use_embeddings=false`. Pure."""

from __future__ import annotations

from collections.abc import Mapping

NEURAL_SOURCES = frozenset({"sequence", "two_tower", "text", "poster"})
"""Sources whose embeddings neural networks make."""


def without_embeddings(weights: Mapping[str, float]) -> dict[str, float]:
    """The weights of the sources that are no neural network; item-to-item alone where none has any."""
    kept = {source: weight for source, weight in weights.items() if source not in NEURAL_SOURCES and weight}
    return kept or {"ease": 1.0}
