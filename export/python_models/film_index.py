"""The index of a release, of whatever kind: the films with the highest inner product, all of them or some.

Export places a copy beside the retrieval model's `model.py`. It knows nothing of Triton: arrays in, arrays out.

A flat index is exact. The other kinds find most of the best films faster, or in less memory; what they find is scored
anew with the true vectors, so that they lose films but never misplace or misjudge one. Filters are exact with every
kind: only allowed films come back, and as many as there are.

Letters: B people, D width of the fused space, N films, A allowed films.
"""

from __future__ import annotations

from typing import Any

import faiss
import numpy as np
import numpy.typing as npt

Float32 = npt.NDArray[np.float32]
Int64 = npt.NDArray[np.int64]

NO_ROW = -1
"""The row of a place without a film."""

MAX_GPU_DEPTH = 2048
"""Longest result list of faiss' GPU indexes; deeper searches run on the CPU."""

SELECTIVE_RATIO = 0.02
"""Share of the films up to which allowed ones are gathered and scored by one product: up to 1 % of 62,000 films it is
8 to 20 times as fast as faiss' filtered scan, from 5 % on it is slower."""

NOT_WORTH_IT_RATIO = 0.25
"""Share of the films from which on an approximate search is given up for looking at all of them."""

BLAS_FROM = 8
"""Queries from which on a flat index is searched by one product of matrices; faiss' wheel alone begins at 332 of them.
Measured by `python -m export.evaluation.search_batches` on one core, us a query: 8 on 656 films take 19 instead of 23,
64 on 62,000 films 410 instead of 4,300; a single one would take up to three times as long."""


class FilmIndex:
    """An index with the vectors that it was made of."""

    def __init__(
        self, index: Any, vectors: Float32 | None = None, oversampling: int = 1, gpu_index: Any = None
    ) -> None:
        """vectors: (N, D), needed for all but flat indexes, which hold them. oversampling: how many times as many films
        as wanted are taken from an approximate index before they are scored anew. gpu_index: a copy on a GPU."""
        self.index, self.gpu_index, self.oversampling = index, gpu_index, oversampling
        self.n_films, self.width = index.ntotal, index.d
        self.is_exact = isinstance(index, faiss.IndexFlat)
        # Of the whole process, and in numbers, not queries: faiss compares it with queries times their width.
        faiss.cvar.distance_compute_blas_threshold = BLAS_FROM * self.width
        if vectors is None:
            vectors = faiss.rev_swig_ptr(index.get_xb(), self.n_films * self.width).reshape(-1, self.width)
        self.vectors: Float32 = vectors

    def nearest(self, query: Float32, depth: int) -> tuple[Float32, Int64]:
        """(B, D) → scores and rows (B, depth), best first; depth is at most N."""
        if self.is_exact:
            scores, rows = self._on(depth).search(query, depth)
            return scores, rows
        wide = depth * self.oversampling
        if wide >= NOT_WORTH_IT_RATIO * self.n_films:
            return _joined([self._scan(None, one, depth) for one in query])
        _, rows = self._on(wide).search(query, wide)
        return _joined([self._rescored(None, one, found, depth) for one, found in zip(query, rows, strict=True)])

    def nearest_among(self, allowed: Int64, query: Float32, depth: int) -> tuple[Float32, Int64]:
        """Scores and rows (depth,) of the best films among `allowed` (A,), sorted, each once; query: (D,).

        On the CPU: GPU indexes take no filter. Places beyond the last film are NO_ROW and -inf.
        """
        if len(allowed) <= SELECTIVE_RATIO * self.n_films:
            return self._scan(allowed, query, depth)
        mask = np.zeros(self.n_films, dtype=bool)
        mask[allowed] = True
        bits = np.packbits(mask, bitorder="little")
        parameters = _filtered(self.index, faiss.IDSelectorBitmap(len(bits), faiss.swig_ptr(bits)))
        if self.is_exact:
            scores, rows = self.index.search(query[None], depth, params=parameters)
            return np.where(rows[0] == NO_ROW, -np.inf, scores[0]), rows[0]
        wide = min(depth * self.oversampling, self.n_films)
        if wide >= NOT_WORTH_IT_RATIO * len(allowed):
            return self._scan(allowed, query, depth)
        _, rows = self.index.search(query[None], wide, params=parameters)
        return self._rescored(allowed, query, rows[0], depth)

    def _on(self, depth: int) -> Any:
        return self.gpu_index if self.gpu_index is not None and depth <= MAX_GPU_DEPTH else self.index

    def _rescored(self, allowed: Int64 | None, query: Float32, rows: Int64, depth: int) -> tuple[Float32, Int64]:
        """What an approximate search found, scored by the true vectors; all films where it found too few."""
        found = rows[rows != NO_ROW]
        possible = self.n_films if allowed is None else len(allowed)
        if len(found) < min(depth, possible):
            return self._scan(allowed, query, depth)
        return self._scan(found, query, depth)

    def _scan(self, rows: Int64 | None, query: Float32, depth: int) -> tuple[Float32, Int64]:
        """The best of some films, or of all, by looking at each; (depth,) each."""
        scores = (self.vectors if rows is None else self.vectors[rows]) @ query
        count = min(depth, len(scores))
        best = np.argpartition(-scores, count - 1)[:count] if count else np.empty(0, dtype=np.int64)
        best = best[np.argsort(-scores[best], kind="stable")]
        found_scores, found_rows = np.full(depth, -np.inf, dtype=np.float32), np.full(depth, NO_ROW, dtype=np.int64)
        found_scores[:count], found_rows[:count] = scores[best], best if rows is None else rows[best]
        return found_scores, found_rows


def _joined(found: list[tuple[Float32, Int64]]) -> tuple[Float32, Int64]:
    return np.stack([scores for scores, _ in found]), np.stack([rows for _, rows in found])


def _filtered(index: Any, selector: Any) -> Any:
    """Search parameters of an index's kind that let only some films pass, and are else those it was made with."""
    parameters: Any
    if isinstance(index, faiss.IndexPreTransform):
        parameters = faiss.SearchParametersPreTransform()
        parameters.index_params = parameters.inner = _filtered(faiss.downcast_index(index.index), selector)
        return parameters
    if isinstance(index, faiss.IndexIVF):
        parameters = faiss.SearchParametersIVF()
        parameters.nprobe = index.nprobe
    elif isinstance(index, faiss.IndexHNSW):
        parameters = getattr(faiss, "SearchParametersHNSW")()  # noqa: B009 - its type information lacks it
        parameters.efSearch = index.hnsw.efSearch
    else:
        parameters = faiss.SearchParameters()
    parameters.sel = selector
    return parameters
