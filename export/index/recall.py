"""How much of the exact answer an index finds, asked with the queries of the release's own people.

Recall@k is the share of the k best films by the exact search that the index finds, the mean over queries.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from export.errors import RecallTooLow
from export.index.faiss_index import BuiltIndex
from export.python_models.film_index import FilmIndex
from features.release_manifest import IndexFacts

Float32 = npt.NDArray[np.float32]
Int64 = npt.NDArray[np.int64]

DEPTHS = (10, 100)

DEMANDED_RECALL = 0.95
"""Recall at 10 and at 100 that a released index must reach."""

MAX_OVERSAMPLING = 64


def recall(built: BuiltIndex, vectors: Float32, queries: Float32, depth: int) -> float:
    """Recall@depth of an index over (N, D) vectors, as the retrieval model searches it; 1.0 without queries."""
    films = FilmIndex(built.index, None if built.kind == "flat" else vectors, built.oversampling)
    depth = min(depth, len(vectors))
    if not len(queries):
        return 1.0
    found = films.nearest(queries, depth)[1]
    # Against the score of the last film that belongs there: films of equal score may stand for one another.
    exact = queries @ vectors.T
    lowest = np.partition(exact, -depth, axis=1)[:, -depth]
    scores = np.take_along_axis(exact, found, axis=1)
    tolerance = 1e-5 * np.abs(lowest) + 1e-6
    return float(np.minimum((scores >= (lowest - tolerance)[:, None]).sum(axis=1) / depth, 1).mean())


def tuned(built: BuiltIndex, vectors: Float32, queries: Float32, demanded: float) -> tuple[BuiltIndex, IndexFacts]:
    """The index looking as widely as it must to reach a recall at every one of `DEPTHS`, and what it reaches.

    Raises: RecallTooLow when it does not, however widely it looks.
    """
    lowest = (0, 0.0)
    for tried in _wider(built):
        reached = {depth: recall(tried, vectors, queries, depth) for depth in DEPTHS}
        lowest = min(reached.items(), key=lambda item: item[1])
        if lowest[1] >= demanded:
            facts = {str(depth): round(share, 4) for depth, share in reached.items()}
            return tried, IndexFacts(tried.kind, facts, len(queries), tried.width, tried.oversampling)
    raise RecallTooLow(built.kind, *lowest, demanded)


def _wider(built: BuiltIndex) -> Iterator[BuiltIndex]:
    """The same index, looking at more and more: first wider, and when it looks everywhere, at more per film wanted."""
    width = built.narrowest(max(DEPTHS))
    while True:
        built.set_width(width)
        yield built
        if width >= built.widest:
            break
        width = min(2 * width, built.widest)
    while built.oversampling > 1 and built.oversampling < MAX_OVERSAMPLING:
        built = replace(built, oversampling=2 * built.oversampling)
        yield built
