"""The retrieval index: every film's vector in the fused space, for exact inner-product search."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import faiss
import numpy as np
import numpy.typing as npt

from export.durable_files import write_atomically
from export.errors import VectorsRefused
from features.sources import FUSED_WIDTH, SOURCE_WIDTHS, source_slices

Float32 = npt.NDArray[np.float32]

CENTRED = 1e-3
"""Largest mean of a centred column, as a share of the source's largest value: room for float32 rounding."""


def fused_vectors(item_vectors: Mapping[str, Float32], n_films: int) -> Float32:
    """(N, D) item vectors of all dense sources side by side, in the order of `SOURCE_WIDTHS`.

    item_vectors: by source, (N, width), centred over the films that have one, zeros where absent.
    Raises: VectorsRefused (missing source, wrong shape, NaN or infinity, not centred).
    """
    fused = np.empty((n_films, FUSED_WIDTH), dtype=np.float32)
    for source, columns in source_slices().items():
        if source not in item_vectors:
            raise VectorsRefused(source, f"missing; there are {', '.join(item_vectors)}")
        vectors = np.asarray(item_vectors[source], dtype=np.float32)
        if vectors.shape != (n_films, SOURCE_WIDTHS[source]):
            raise VectorsRefused(source, f"shape {vectors.shape}, not {(n_films, SOURCE_WIDTHS[source])}")
        if not np.isfinite(vectors).all():
            raise VectorsRefused(source, "NaN or an infinity among them")
        largest_mean = np.abs(vectors.mean(axis=0, dtype=np.float64)).max()
        if largest_mean > CENTRED * max(float(np.abs(vectors).max()), 1e-12):
            raise VectorsRefused(source, f"not centred: a column's mean is {largest_mean:.3g}")
        fused[:, columns] = vectors
    return fused


def write_index(path: Path, vectors: Float32) -> None:
    """Write (N, D) vectors as a FAISS IndexFlatIP; row i of the array is id i."""
    index = faiss.IndexFlatIP(vectors.shape[1])
    index.add(np.ascontiguousarray(vectors))
    write_atomically(path, faiss.serialize_index(index).tobytes())
