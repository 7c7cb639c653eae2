"""Similarity of films: cosines in the fused space, source by source. Pure.

It is relative to the catalogue: item vectors are centred, so 0 is the similarity of an average pair of films.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt

from bento.release.film_table import HoldsFilms, Live
from features.sources import CONTENT_SOURCES, LEARNT_SOURCES, source_slices

By = Literal["blend", "text", "poster", "collaborative"]
Kind = By | Literal["content"]
"""What films are compared by; "content" is text and poster, without watch histories."""

SOURCES_OF: dict[Kind, tuple[str, ...]] = {
    "text": ("text",),
    "poster": ("poster",),
    "content": CONTENT_SOURCES,
    "collaborative": LEARNT_SOURCES,
    "blend": (*LEARNT_SOURCES, *CONTENT_SOURCES),
}


def live_similarity(release: HoldsFilms) -> Live[ItemSimilarity]:
    """Of the films of a release as they are now."""
    return Live(release, lambda films: ItemSimilarity(films.item_vectors, films.hidden_rows))


class ItemSimilarity:
    """Cosines between films of one release."""

    def __init__(self, item_vectors: npt.NDArray[np.float32], hidden_rows: npt.NDArray[np.int64] | None = None) -> None:
        """item_vectors: (N, D) centred; may be mapped from disk, it is read once for the lengths. hidden_rows: (H,)
        films that are never returned."""
        self._vectors = item_vectors
        self._hidden_rows = np.empty(0, dtype=np.int64) if hidden_rows is None else hidden_rows
        self._lengths = {
            source: np.sqrt(np.einsum("nd,nd->n", item_vectors[:, columns], item_vectors[:, columns]))
            for source, columns in source_slices().items()
            if source in SOURCES_OF["blend"]
        }

    def has(self, row: int, by: Kind) -> bool:
        """Whether the film has any vector of this kind."""
        return any(self._lengths[source][row] > 0 for source in SOURCES_OF[by])

    def to_film(self, row: int, by: Kind) -> npt.NDArray[np.float32]:
        """(N,) similarity of every film to one, -1..1: the mean of the cosines of the sources that the film has.

        A film without a vector of a source counts 0 there.
        """
        return self.to_vector(self._vectors[row], by)

    def to_vector(self, vector: npt.NDArray[np.float32], by: Kind) -> npt.NDArray[np.float32]:
        """(N,) similarity of every film to a vector (D,) of the fused space; see `to_film`."""
        total, n_sources = np.zeros(len(self._vectors), dtype=np.float32), 0
        for source in SOURCES_OF[by]:
            columns, lengths = source_slices()[source], self._lengths[source]
            length = np.sqrt(np.dot(vector[columns], vector[columns]))
            if length == 0:
                continue
            products = self._vectors[:, columns] @ vector[columns]
            total += np.divide(products, lengths * length, out=np.zeros_like(products), where=lengths > 0)
            n_sources += 1
        return total / np.float32(max(n_sources, 1))

    def between(self, rows: npt.NDArray[np.int64], others: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
        """(A, B) blended similarity of each of `rows` to each of `others`.

        The mean of the cosines of the sources that both films have; 0 where they have none in common.
        """
        total = np.zeros((len(rows), len(others)), dtype=np.float32)
        n_sources = np.zeros_like(total)
        for source in SOURCES_OF["blend"]:
            columns = source_slices()[source]
            lengths = np.outer(self._lengths[source][rows], self._lengths[source][others])
            products = self._vectors[rows, columns] @ self._vectors[others, columns].T
            total += np.divide(products, lengths, out=np.zeros_like(products), where=lengths > 0)
            n_sources += lengths > 0
        return np.divide(total, np.maximum(n_sources, 1), dtype=np.float32)

    def nearest(self, row: int, by: Kind, top_k: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]:
        """Rows and similarities of the top_k most similar films, without the film itself, best first."""
        similarity = self.to_film(row, by)
        similarity[row] = similarity[self._hidden_rows] = -np.inf
        best = np.argsort(-similarity, kind="stable")[: min(top_k, int(np.isfinite(similarity).sum()))]
        return best, similarity[best]
