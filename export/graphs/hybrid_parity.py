"""Proof that the model `hybrid` answers like the models of a release one by one.

Every film's score is compared, not the first ten alone: all are asked for, so that films of nearly equal score may
change places, and nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import faiss
import numpy as np
import numpy.typing as npt

from export.example_inputs import BATCH_SIZES, Tensors, empty_history, history_batch
from export.graphs.onnx_graphs import onnx_run
from export.graphs.parity import Claim, Run, prove
from export.graphs.precision import Precision
from export.layout import HYBRID
from export.python_models.film_index import NO_ROW, FilmIndex
from export.python_models.fused_search import FusedSearch, Question
from features.release_manifest import Parity
from features.sources import FUSION_INPUTS, NEIGHBOUR_SOURCE, NEIGHBOUR_WEIGHT, SOURCE_WIDTHS, encoders

Float32 = npt.NDArray[np.float32]

MOST_EXPLAINED = 7
"""Batches up to this size are asked for contributions, of every film: 64 people of 16,000 films would take 1.6 GB."""

EXCLUDED = 64
"""Columns of `excluded_rows`, half of which are padding."""


def prove_hybrid(
    folder_of: Callable[[str], Path], vectors: Float32, weights: Sequence[Float32], precision: Precision
) -> Parity:
    """Compare the written graph with the other written models. Raises: ParityFailed, RankingChanged.

    folder_of: where a model's files are. vectors: (N, D) of the fused space. weights: (S,) mixes to ask by.
    """
    n_films = len(vectors)
    claim = Claim(
        HYBRID, models_run(folder_of, vectors), _of_all_films(onnx_run(folder_of(HYBRID) / "model.onnx"), n_films),
        _ranked, precision,
    )  # fmt: skip
    sizes = sorted(BATCH_SIZES, reverse=True)
    return prove(claim, [trial(n_films, empty_history(), weights), *(
        trial(n_films, history_batch(n_films, size, seed=30), weights) for size in sizes
    )])  # fmt: skip


def trial(n_films: int, histories: Tensors, weights: Sequence[Float32]) -> Tensors:
    """Inputs of `hybrid` for histories: every film is asked for, some are excluded, and some are not allowed."""
    people = len(histories["history"])
    random = np.random.default_rng([31, people])
    excluded = random.integers(0, n_films, (people, EXCLUDED))
    excluded[:, EXCLUDED // 2 :] = NO_ROW
    return {
        **histories,
        "weights": np.resize(np.array(weights, dtype=np.float32), (people, len(weights[0]))),
        "top_k": np.full((people, 1), n_films, dtype=np.int32),
        "explain": np.full((people, 1), people <= MOST_EXPLAINED),
        "excluded_rows": excluded,
        "allowed": random.random((people, n_films)) < 0.9,
    }


def models_run(folder_of: Callable[[str], Path], vectors: Float32) -> Run:
    """The encoders, EASE, fusion and the retrieval model's search, called in turn."""
    models = {name: onnx_run(folder_of(name) / "model.onnx") for name in (*encoders(), NEIGHBOUR_SOURCE, "fusion")}
    index = faiss.IndexFlatIP(vectors.shape[1])
    index.add(np.ascontiguousarray(vectors))
    search = FusedSearch(FilmIndex(index), tuple(SOURCE_WIDTHS.values()))

    def run(batch: Tensors) -> Tensors:
        fusion_inputs: Tensors = {"weights": batch["weights"]}
        for model, outputs in encoders().items():
            given = models[model](batch)
            fusion_inputs |= {FUSION_INPUTS[source]: given[output] for output, source in outputs.items()}
        fused, neighbours = models["fusion"](fusion_inputs), models[NEIGHBOUR_SOURCE](batch)
        rows = np.arange(search.n_films)
        (answer,) = search.answer([
            Question(
                query=fused["query"],
                extra_rows=neighbours["candidate_rows"],
                extra_scores=neighbours["candidate_scores"],
                extra_weight=fused[NEIGHBOUR_WEIGHT][:, 0],
                top_k=batch["top_k"][:, 0].astype(np.int64),
                allowed_rows=np.where(batch["allowed"], rows, NO_ROW),
                excluded_rows=batch["excluded_rows"],
            )
        ])  # fmt: skip
        found: Tensors = {"rows": answer.rows, "scores": answer.scores, "contributions": answer.contributions}
        return _by_film({**found, "query": fused["query"]}, batch, search.n_films)

    return run


def _of_all_films(run: Run, n_films: int) -> Run:
    return lambda batch: _by_film(run(batch), batch, n_films)


def _by_film(outputs: Tensors, batch: Tensors, n_films: int) -> Tensors:
    """Lists (B, K) → a column per film, 0 for those not returned: `returned`, `scores` and, where asked, parts."""
    rows = outputs["rows"]
    returned = rows != NO_ROW
    columns = np.where(returned, rows, n_films)  # what is no film is written beside the catalogue and cut off
    parts: Tensors = {"returned": returned.astype(np.float32), "scores": np.where(returned, outputs["scores"], 0)}
    if batch["explain"].any():
        parts["contributions"] = outputs["contributions"]
    by_film: Tensors = {"query": outputs["query"]}
    for name, values in parts.items():
        wide = np.zeros((len(rows), n_films + 1, *values.shape[2:]), dtype=np.float32)
        wide[np.arange(len(rows))[:, None], columns] = values
        by_film[name] = wide[:, :n_films]
    return by_film


def _ranked(outputs: Tensors) -> npt.NDArray[np.floating]:
    """(B, N) scores, below all others for films that are not returned."""
    scores = outputs["scores"]
    return np.where(outputs["returned"] > 0, scores, scores.min() - 1)
