"""From stored changes to the table of films that is served. No I/O: arrays in, arrays out."""

from __future__ import annotations

from functools import cached_property

import numpy as np
import numpy.typing as npt

from bento.recommender.catalogue.similarity import ItemSimilarity
from bento.release.film_table import FilmTable
from bento.stores.film_records import FilmRecord, FilmVectors
from features.catalog import Film
from features.ids import Id

Float32 = npt.NDArray[np.float32]

ROOM = 256
"""Rows added at least when the arrays are full, so that a large catalogue is not copied for each film."""


class GrowingRows:
    """Vectors of the release, and behind them those of added films; copied into memory with the first one."""

    def __init__(self, released: Float32) -> None:
        self._rows = released
        self._capacity = len(released)

    def put(self, row: int, vector: Float32) -> None:
        """Write one row, anywhere up to the end."""
        if row >= self._capacity:
            self._capacity = row + max(ROOM, row // 8)
            longer = np.zeros((self._capacity, self._rows.shape[1]), dtype=np.float32)
            longer[: len(self._rows)] = self._rows
            self._rows = longer
        self._rows[row] = vector

    def first(self, count: int) -> Float32:
        """(count, W)"""
        return self._rows[:count]


class FilmRows:
    """The films of one release with later changes. A film keeps its row as long as the process lives."""

    def __init__(self, released: FilmTable) -> None:
        self._released = released
        self._records: dict[Id, FilmRecord] = {}
        self._added: dict[Id, Film] = {}
        """By movie_id, in row order; a removed film keeps its last version."""
        self._item_vectors = GrowingRows(released.item_vectors)
        self._raw_text = None if released.raw_text_vectors is None else GrowingRows(released.raw_text_vectors)
        self._row_of: dict[Id, int] = {}
        """Of added films, by movie_id."""
        self._stand_ins: dict[int, int] = {}
        """By row, filled when needed: each is found by a scan of all released films."""
        logs = np.log1p(released.popularity.astype(np.float64))
        self._average_popularity = np.float32(np.expm1(logs.mean()) if len(logs) else 0)

    def is_released(self, movie_id: Id) -> bool:
        """The release itself holds the film."""
        return self._released.catalog.row_of(movie_id) is not None

    def record_of(self, movie_id: Id) -> FilmRecord | None:
        """The stored record of a film; None when there is none."""
        return self._records.get(movie_id)

    def records(self) -> list[FilmRecord]:
        """All stored records."""
        return list(self._records.values())

    def forget_all(self) -> None:
        """The store was emptied: hide added films and show hidden ones again."""
        self._records.clear()

    def put(self, record: FilmRecord, vectors: FilmVectors | None) -> None:
        """Apply a change. Without vectors an added film keeps its last version, or stays unknown."""
        self._records[record.movie_id] = record
        if self.is_released(record.movie_id) or vectors is None or record.film is None:
            return
        self._added[record.movie_id] = record.film
        row = self._row_of.setdefault(record.movie_id, self._released.n_released + len(self._row_of))
        self._stand_ins.pop(row, None)
        self._item_vectors.put(row, vectors.item_vector)
        if self._raw_text is not None:
            self._raw_text.put(row, vectors.text_vector)

    def table(self, revision: int) -> FilmTable:
        """The films as they are now."""
        released, added = self._released, list(self._added.values())
        count = released.n_released + len(added)
        average = np.full(len(added), self._average_popularity, dtype=np.float32)
        return FilmTable(
            catalog=released.catalog.extended(added),
            popularity=np.concatenate([released.popularity, average]),
            item_vectors=self._item_vectors.first(count),
            raw_text_vectors=None if self._raw_text is None else self._raw_text.first(count),
            n_released=released.n_released,
            stand_in=self._stand_in,
            hidden_rows=self._hidden_rows(),
            with_poster=frozenset(movie_id for movie_id in self._added if self._has_poster(movie_id)),
            revision=revision,
        )

    def _hidden_rows(self) -> npt.NDArray[np.int64]:
        row_of = self._released.catalog.row_of
        removed = (row_of(record.movie_id) for record in self._records.values() if record.hidden)
        gone = (
            self._released.n_released + at
            for at, movie_id in enumerate(self._added)
            if (record := self._records.get(movie_id)) is None or record.hidden
        )
        return np.array(sorted([*(row for row in removed if row is not None), *gone]), dtype=np.int64)

    def _has_poster(self, movie_id: Id) -> bool:
        record = self._records.get(movie_id)
        return record is not None and bool(record.poster)

    def _stand_in(self, row: int) -> int:
        """Row of the released film most like an added one; -1 where none is."""
        if row not in self._stand_ins:
            alike = self._similarity.to_vector(self._item_vectors.first(row + 1)[row], "blend")
            best = int(np.argmax(alike)) if len(alike) else -1
            self._stand_ins[row] = best if best >= 0 and alike[best] > 0 else -1
        return self._stand_ins[row]

    @cached_property
    def _similarity(self) -> ItemSimilarity:
        return ItemSimilarity(self._released.item_vectors)
