"""The retrieval index: every film's vector in the fused space, for inner-product search of some kind.

    flat     exact; the default, and the fastest up to some ten thousand films
    ivf      lists of like films, of which the nearest are looked at
    hnsw     a graph from film to like film; the fastest on large catalogues, on the CPU only
    ivfpq    lists, and vectors of 96 bytes instead of 1,540; the true ones stay on disk and score what was found

How widely the approximate kinds look is set here, so that they find what is demanded; see `export.index.recall`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import faiss
import numpy as np
import numpy.typing as npt
import orjson

from export.durable_files import write_atomically
from export.errors import VectorsRefused
from features.sources import FUSED_WIDTH, SOURCE_WIDTHS, source_slices

Float32 = npt.NDArray[np.float32]

IndexKind = Literal["flat", "ivf", "hnsw", "ivfpq"]

ON_GPU: tuple[IndexKind, ...] = ("flat", "ivf")
"""What faiss-gpu 1.15 takes. Its ivfpq must have residuals and parts times 256 floats in a block's 48 KB."""

CENTRED = 1e-3
"""Largest mean of a centred column, as a share of the source's largest value: room for float32 rounding."""

FILMS_PER_LIST = 39
"""At least this many films a list: what faiss' k-means asks for."""

PQ_PARTS = 96
PQ_WIDTH = FUSED_WIDTH - FUSED_WIDTH % PQ_PARTS
"""A random rotation first takes away the columns, 1 of 385, that do not divide into the parts."""

MOST_CANDIDATES = 1_024
"""Of hnsw: beyond it, looking at all films is as fast."""

HNSW_NEIGHBOURS, HNSW_BUILD_WIDTH = 32, 200


@dataclass(frozen=True, slots=True)
class BuiltIndex:
    """An index, and how it is to be searched."""

    kind: IndexKind
    index: Any
    oversampling: int = 1
    """How many times as many films as wanted are taken from it before they are scored with the true vectors."""

    @property
    def widest(self) -> int:
        """Largest useful `width`."""
        if self.kind == "flat":
            return 1
        return MOST_CANDIDATES if self.kind == "hnsw" else int(_ivf(self.index).nlist)

    @property
    def width(self) -> int:
        """What `set_width` set; 0 for a flat index, which looks at everything."""
        if self.kind == "flat":
            return 0
        return int(self.index.hnsw.efSearch if self.kind == "hnsw" else _ivf(self.index).nprobe)

    def narrowest(self, depth: int) -> int:
        """Smallest `width` worth a try for results of this depth: lists with too few films are looked at in vain."""
        if self.kind in ("flat", "hnsw"):
            return 1
        films_per_list = max(1, self.index.ntotal // self.widest)
        return min(self.widest, -(-2 * depth * self.oversampling // films_per_list))

    def set_width(self, width: int) -> None:
        """How widely it looks: lists (ivf, ivfpq) or candidates (hnsw). It is kept in the index's file."""
        if self.kind == "hnsw":
            self.index.hnsw.efSearch = width
        elif self.kind != "flat":
            _ivf(self.index).nprobe = width

    def settings(self) -> dict[str, Any]:
        """What `index.json` says."""
        return {"kind": self.kind, "oversampling": self.oversampling, "gpu": self.kind in ON_GPU}


def build_index(kind: IndexKind, vectors: Float32, seed: int = 0) -> BuiltIndex:
    """Index (N, D) vectors; row i of the array is id i. Equal vectors give an equal index."""
    count, width = vectors.shape
    lists = max(1, min(round(4 * count**0.5), count // FILMS_PER_LIST))
    bits = max(1, min(8, int(np.log2(max(count, 2)))))
    recipe = {
        "flat": "Flat",
        "ivf": f"IVF{lists},Flat",
        "hnsw": f"HNSW{HNSW_NEIGHBOURS},Flat",
        "ivfpq": f"RR{PQ_WIDTH},IVF{lists},PQ{PQ_PARTS}x{bits}np",
    }[kind]
    index: Any = faiss.IndexFlatIP(width)
    if kind != "flat":
        index = faiss.index_factory(width, recipe, faiss.METRIC_INNER_PRODUCT)
        _prepare(kind, index, seed)
        index.train(vectors)
    index.add(np.ascontiguousarray(vectors))
    return BuiltIndex(kind, index, 4 if kind == "ivfpq" else 1)


def _prepare(kind: IndexKind, index: Any, seed: int) -> None:
    if kind == "hnsw":
        index.hnsw.efConstruction = HNSW_BUILD_WIDTH
        return
    lists = _ivf(index)
    lists.cp.seed, lists.cp.min_points_per_centroid = seed + 1, 1
    if kind == "ivfpq":
        lists.by_residual = False  # an inner product needs no residual
        lists.pq.cp.min_points_per_centroid = 1


def _ivf(index: Any) -> Any:
    """The lists inside an index that has some."""
    return faiss.downcast_index(faiss.extract_index_ivf(index))


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


def write_index(folder: Path, built: BuiltIndex) -> None:
    """Write `items.index` and `index.json`, which says how to search it."""
    write_atomically(folder / "items.index", faiss.serialize_index(built.index).tobytes())
    write_atomically(folder / "index.json", orjson.dumps(built.settings()))
