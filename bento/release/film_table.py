"""The films that are served: those of the release, followed by those added since.

A table never changes; a change of the catalogue replaces it as a whole. A row is the same film in every table of a
process, so that a request may continue with a newer table. Films are never deleted: a removed film is hidden.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Generic, Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from features.catalog import Catalog
from features.history import WatchHistory
from features.ids import Id
from features.sources import source_slices

Float32 = npt.NDArray[np.float32]
Rows = npt.NDArray[np.int64]

NO_ROWS: Rows = np.empty(0, dtype=np.int64)


@dataclass(frozen=True, slots=True)
class AddedFilms:
    """Films that the release's index does not hold."""

    first_row: int
    vectors: Float32
    """(M, D) in the fused space."""


@dataclass(frozen=True)
class FilmTable:
    """N films of the release and M added ones, in row order."""

    catalog: Catalog
    popularity: Float32
    """(N + M,) grows with popularity; an added film has the average film's."""
    item_vectors: Float32
    """(N + M, D) centred, in the fused space; mapped from disk as long as nothing was added."""
    raw_text_vectors: Float32 | None
    """(N + M, 384) outputs of the text encoder; None in a release without them."""
    n_released: int
    stand_in: Callable[[int], int] = lambda row: -1
    """Row of an added film -> row of the released film most like it; -1 where none is."""
    hidden_rows: Rows = field(default_factory=lambda: NO_ROWS)
    """(H,) films that were removed: they still count in histories, but are never shown."""
    with_poster: frozenset[Id] = frozenset()
    """movie_ids of added films with a poster."""
    revision: int = 0
    """Of the catalogue; 0 = nothing was ever added or removed."""

    @cached_property
    def text_vectors(self) -> Float32:
        """(N + M, 128) text vectors, centred; zeros for films without text."""
        return np.ascontiguousarray(self.item_vectors[:, source_slices()["text"]])

    @cached_property
    def visible(self) -> npt.NDArray[np.bool_]:
        """(N + M,) films that may be shown."""
        visible = np.ones(len(self.catalog), dtype=bool)
        visible[self.hidden_rows] = False
        return visible

    @cached_property
    def visible_rows(self) -> Rows:
        """The same as rows."""
        return np.flatnonzero(self.visible)

    @property
    def added(self) -> AddedFilms | None:
        """The films that are searched beside the release's index; None when there are none."""
        if self.n_released == len(self.catalog):
            return None
        return AddedFilms(self.n_released, self.item_vectors[self.n_released :])

    def visible_row(self, movie_id: Id) -> int | None:
        """Row of a film that may be shown; None for an unknown or hidden one."""
        row = self.catalog.row_of(movie_id)
        return row if row is not None and self.visible[row] else None

    def as_released(self, history: WatchHistory) -> WatchHistory:
        """A history for the release's encoders: added films are replaced by the most similar released ones, or left out
        where there is none."""
        if self.added is None or history.item_rows.max(initial=-1) < self.n_released:
            return history
        rows = history.item_rows.copy()
        added = rows >= self.n_released
        rows[added] = [self.stand_in(row) for row in rows[added].tolist()]
        known = rows >= 0
        return WatchHistory(rows[known], history.ratings[known], history.timestamps_s[known])


class HoldsFilms(Protocol):
    """A release."""

    films: FilmTable
    lives: list[Live[Any]]


T = TypeVar("T")


class Live(Generic[T]):
    """A value computed from the films of a release, and computed again after they have changed."""

    def __init__(self, release: HoldsFilms, make: Callable[[FilmTable], T]) -> None:
        """`make` may depend on nothing that changes but the films it is given."""
        self._release = release
        self._make = make
        self._made: tuple[FilmTable, T] | None = None
        self._prepared: tuple[FilmTable, T] | None = None
        release.lives.append(self)

    @property
    def now(self) -> T:
        """The value for the present films."""
        films, made = self._release.films, self._made
        if made is None or made[0] is not films:
            prepared, self._prepared = self._prepared, None
            made = prepared if prepared is not None and prepared[0] is films else (films, self._make(films))
            self._made = made
        return made[1]

    def prepare(self, films: FilmTable) -> None:
        """Compute the value for the next films, in another thread, so that no request waits for it."""
        if self._made is not None:  # a value not used so far is computed when it is
            self._prepared = (films, self._make(films))
