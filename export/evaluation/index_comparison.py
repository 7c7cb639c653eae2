"""The kinds of index side by side on one release: what each finds of the exact answer, how fast, how large."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import faiss
import numpy as np
import numpy.typing as npt

from export.errors import RecallTooLow
from export.index.faiss_index import BuiltIndex, IndexKind, build_index
from export.index.recall import DEMANDED_RECALL, tuned
from export.layout import version_folder
from export.python_models.film_index import FilmIndex
from export.release.manifest import read_manifest, release_of
from export.release.queries import release_queries
from features.release_manifest import IndexFacts

Float32 = npt.NDArray[np.float32]

DEPTH = 50
"""Films asked for when times are taken: ten and what a person has seen, roughly."""

BATCH = 64
"""The retrieval model's largest batch."""

REPEATS = 5
"""The fastest counts: others only show who else was at work."""


@dataclass(frozen=True, slots=True)
class IndexRow:
    """One kind of index on one release."""

    kind: IndexKind
    facts: IndexFacts | None
    """None when it does not find enough, however widely it looks."""
    build_s: float
    alone_ms: float
    """One query, on one thread."""
    batch_ms: float
    """A batch of 64, on one thread."""
    bytes: int
    """Of the index in memory."""


def compare_indexes(repository: Path, number: int | None, demanded: float = DEMANDED_RECALL) -> Iterator[IndexRow]:
    """Build every kind over a release's films and ask it what the release's people would be asked for.

    Raises: UnknownRelease, ManifestUnreadable.
    """
    number, release = release_of(read_manifest(repository), number)
    vectors: Float32 = np.load(version_folder(repository, "retrieval", number) / "item_vectors.npy")
    queries = release_queries(lambda model: version_folder(repository, model, number), release.fusion.weights)
    threads = faiss.omp_get_max_threads()
    for kind in get_args(IndexKind):
        started_s = time.perf_counter()
        built = build_index(kind, vectors)
        build_s = time.perf_counter() - started_s
        facts: IndexFacts | None
        try:
            built, facts = tuned(built, vectors, queries, demanded)
        except RecallTooLow:
            facts = None
        faiss.omp_set_num_threads(1)
        try:
            alone_ms, batch_ms = (_fastest_ms(built, vectors, queries[:count]) for count in (1, BATCH))
        finally:
            faiss.omp_set_num_threads(threads)
        yield IndexRow(kind, facts, build_s, alone_ms, batch_ms, len(faiss.serialize_index(built.index)))


def _fastest_ms(built: BuiltIndex, vectors: Float32, queries: Float32) -> float:
    films = FilmIndex(built.index, None if built.kind == "flat" else vectors, built.oversampling)
    depth = min(DEPTH, len(vectors))
    times_s = []
    for _ in range(REPEATS):
        started_s = time.perf_counter()
        films.nearest(queries, depth)
        times_s.append(time.perf_counter() - started_s)
    return 1_000 * min(times_s)
