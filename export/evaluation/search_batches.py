"""`python -m export.evaluation.search_batches`: from which batch size on a flat search pays as one matrix product.

Prints processor time per query of both ways, on one core; `BLAS_FROM` in `export/python_models/film_index.py` is where
the product wins at every catalogue size.
"""

from __future__ import annotations

import os
import statistics
import time

import faiss
import numpy as np
from threadpoolctl import threadpool_limits

from features.sources import FUSED_WIDTH

CATALOGUES = (656, 9_742, 62_000)
BATCHES = (1, 2, 4, 8, 16, 64)
DEPTH = 50
"""Ten films and what a person has seen, roughly."""
ROUNDS = 7
WAYS = {"one by one": (max(BATCHES) + 1) * FUSED_WIDTH, "one product": FUSED_WIDTH}
"""faiss takes the product from this many numbers on, queries times width."""


def query_us(index: faiss.IndexFlatIP, batch: int) -> dict[str, float]:
    """Processor time per query of each way, median over rounds in turns."""
    queries = np.random.default_rng(batch).standard_normal((batch, index.d)).astype(np.float32)
    taken: dict[str, list[float]] = {way: [] for way in WAYS}
    for _ in range(ROUNDS):
        for way, threshold in WAYS.items():
            faiss.cvar.distance_compute_blas_threshold = threshold
            started_ns = time.process_time_ns()
            index.search(queries, DEPTH)
            taken[way].append((time.process_time_ns() - started_ns) / 1e3 / batch)
    return {way: statistics.median(times) for way, times in taken.items()}


def main() -> None:
    """Print a line per catalogue and batch."""
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    faiss.omp_set_num_threads(1)
    with threadpool_limits(1):
        for n_films in CATALOGUES:
            index = faiss.IndexFlatIP(FUSED_WIDTH)
            index.add(np.random.default_rng(0).standard_normal((n_films, FUSED_WIDTH)).astype(np.float32))
            for batch in BATCHES:
                times = ", ".join(f"{way} {us:,.0f} us" for way, us in query_us(index, batch).items())
                print(f"{n_films:,} films, {batch} queries, each: {times}")


if __name__ == "__main__":
    main()
