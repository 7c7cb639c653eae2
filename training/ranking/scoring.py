"""Scores of every source for many people, by the served formula.

`features.sources` has the formula. The server finds the fused top K by FAISS; here the scores of the whole
catalogue are computed, for the evaluation and the search for weights.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from features.history import WatchHistory, history_tensors
from features.sources import NEIGHBOUR_SOURCE, SOURCE_WIDTHS, SOURCES, encoders
from training.fit.trainer import FittedModels, encode
from training.models.fused_query import FLAT_STD, covariance

Float32 = npt.NDArray[np.float32]

SCORE_BYTES = 400_000_000
"""People are scored in chunks whose source scores fit in this much memory."""

ENCODER_OF = {
    source: (model, place) for model, outputs in encoders().items() for place, source in enumerate(outputs.values())
}
"""Dense source → the encoder of its user side, and which of its outputs."""


def user_vectors(models: FittedModels, histories: Sequence[WatchHistory]) -> dict[str, npt.NDArray[Any]]:
    """Source → (P, width) of each dense source; "candidate_rows" and "candidate_scores" (P, C) of the sparse one."""
    tensors = history_tensors(histories)
    outputs = {name: encode(models.encoders, name, tensors) for name in {name for name, _ in ENCODER_OF.values()}}
    vectors = {source: outputs[name][place] for source, (name, place) in ENCODER_OF.items()}
    vectors |= {source: np.ones((len(histories), 1), dtype=np.float32) for source in SOURCE_WIDTHS.keys() - ENCODER_OF}
    rows, scores = encode(models.encoders, NEIGHBOUR_SOURCE, tensors)
    return vectors | {"candidate_rows": rows, "candidate_scores": scores}


def source_scores(models: FittedModels, histories: Sequence[WatchHistory]) -> Float32:
    """(S, P, N) each source's score in units of its spread for that person; 0 where it has no score.

    The sources stand in the order of SOURCES. Memory: S * P * N * 4 bytes.
    """
    users = user_vectors(models, histories)
    scores = np.zeros((len(SOURCES), len(histories), len(models.popularity)), dtype=np.float32)
    for place, source in enumerate(SOURCE_WIDTHS):
        vectors = models.item_vectors[source]
        spread = score_spread(users[source], covariance(vectors))
        scale = np.where(spread < FLAT_STD, 0, 1 / np.maximum(spread, FLAT_STD)).astype(np.float32)
        np.matmul(users[source] * scale[:, None], vectors.T, out=scores[place])
    rows, values = users["candidate_rows"], users["candidate_scores"]
    person, column = np.nonzero(rows >= 0)
    scores[SOURCES.index(NEIGHBOUR_SOURCE), person, rows[person, column]] = values[person, column]
    return scores


def score_spread(users: Float32, covariance_of_items: Float32) -> Float32:
    """(P,) std of each person's scores over the catalogue: sqrt(u' Cov u). users: (P, D)."""
    return np.sqrt(np.maximum(((users @ covariance_of_items) * users).sum(axis=1), 0))


def blend(scores: Float32, weights: Mapping[str, float]) -> Float32:
    """(S, …) source scores → (…) their weighted sum."""
    return np.tensordot(np.array([weights[source] for source in SOURCES], dtype=np.float32), scores, axes=1)


def chunks(n_people: int, n_items: int) -> Iterator[npt.NDArray[np.int64]]:
    """Positions of people in pieces whose (S, P, N) scores stay under `SCORE_BYTES`."""
    size = max(1, SCORE_BYTES // (len(SOURCES) * n_items * 4))
    for start in range(0, n_people, size):
        yield np.arange(start, min(start + size, n_people))
