"""The catalogue: films, their rows, and the way it is written to disk.

`movie_id` is the data's own id (`features.ids`), `item_row` is ours: 0..N-1 in catalogue order.
Every model, index and answer of a release counts rows in the order of that release's catalogue.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt
import orjson

from features.ids import Id, IdTable, id_column

GENRES = (
    "Action", "Adventure", "Animation", "Children", "Comedy", "Crime", "Documentary", "Drama", "Fantasy",
    "Film-Noir", "Horror", "IMAX", "Musical", "Mystery", "Romance", "Sci-Fi", "Thriller", "War", "Western",
)  # fmt: skip
"""MovieLens' genre names, in the order of `Catalog.genre_matrix`'s columns (G = 19)."""


@dataclass(frozen=True, slots=True)
class Film:
    """One film. Empty strings and tuples mean "not known"; `year` is None when the title carries none."""

    movie_id: Id
    title: str
    year: int | None = None
    genres: tuple[str, ...] = ()
    director: str = ""
    cast: tuple[str, ...] = ()
    country: str = ""
    overview: str = ""
    tags: tuple[str, ...] = ()
    """Tags of people, most frequent first."""


class Catalog:
    """Films in row order, with look-ups both ways.

    Raises ValueError when two films share a movie_id.
    """

    def __init__(self, films: Iterable[Film]) -> None:
        self.films: tuple[Film, ...] = tuple(films)
        self._ids = IdTable.of(film.movie_id for film in self.films)

    def __len__(self) -> int:
        return len(self.films)

    def extended(self, films: Sequence[Film]) -> Catalog:
        """A catalogue with more films appended; much cheaper than building a new one.

        Raises: ValueError when two films share a movie_id.
        """
        longer = Catalog.__new__(Catalog)
        longer.films = (*self.films, *films)
        longer._ids = self._ids.extended([film.movie_id for film in films])
        longer.__dict__["genre_matrix"] = np.concatenate([self.genre_matrix, Catalog(films).genre_matrix])
        return longer

    def row_of(self, movie_id: int | str) -> int | None:
        """Row of a film, or None when the catalogue does not hold it; 7 and "7" are the same film."""
        return self._ids.row_of(movie_id)

    def row_of_key(self, key: int) -> int | None:
        """Row of the film whose movie_id has that key (`features.ids.key_of`); None when there is none."""
        return self._ids.row_of_key(key)

    @cached_property
    def movie_ids(self) -> npt.NDArray[np.int64] | npt.NDArray[np.str_]:
        """(N,) movie_id of each row: int64 where all are numbers, else text."""
        return id_column(self._ids.ids)

    @cached_property
    def genre_matrix(self) -> npt.NDArray[np.float32]:
        """(N, G) 1 where the film has the genre; genres outside `GENRES` are not counted."""
        column = {genre: index for index, genre in enumerate(GENRES)}
        matrix = np.zeros((len(self.films), len(GENRES)), dtype=np.float32)
        for row, film in enumerate(self.films):
            matrix[row, [column[genre] for genre in film.genres if genre in column]] = 1
        return matrix

    @cached_property
    def sha256(self) -> str:
        """Hash of the catalogue's content and order; equal catalogues give equal rows."""
        return hashlib.sha256(_to_json(self.films)).hexdigest()

    def save(self, path: Path) -> None:
        """Write as JSON (an array of films in row order)."""
        path.write_bytes(_to_json(self.films))

    @classmethod
    def load(cls, path: Path) -> Catalog:
        """Read what `save` wrote."""
        return cls(
            Film(**{**row, "genres": tuple(row["genres"]), "cast": tuple(row["cast"]), "tags": tuple(row["tags"])})
            for row in orjson.loads(path.read_bytes())
        )


def _to_json(films: Sequence[Film]) -> bytes:
    return orjson.dumps([asdict(film) for film in films])
