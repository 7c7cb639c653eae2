"""The films that pass a set of filters. Pure: arrays computed once per release, a mask per question."""

from __future__ import annotations

import unicodedata
from collections import defaultdict
from collections.abc import Callable, Iterable

import msgspec
import numpy as np
import numpy.typing as npt

from bento.http.errors import InvalidRequest
from bento.recommender.schemas import Filters, GenreFilter
from features.catalog import GENRES, Catalog, Film


class FilmFilter:
    """The films of one catalogue."""

    def __init__(self, catalog: Catalog, mean_ratings: npt.NDArray[np.float32]) -> None:
        """mean_ratings: (N,) or longer, 0 for unrated films."""
        self._genres = catalog.genre_matrix > 0
        self._years = np.array([film.year or 0 for film in catalog.films])
        self._ratings = mean_ratings[: len(catalog)]
        self._people = _Names(catalog.films, lambda film: (film.director, *film.cast))
        self._countries = _Names(catalog.films, lambda film: film.country.split(","))

    def mask(self, filters: Filters) -> npt.NDArray[np.bool_]:
        """(N,) films that pass everything but `text`, which needs a model. Films whose year is not known pass no
        bound on it.

        Raises: InvalidRequest for a genre that does not exist.
        """
        passing = np.ones(len(self._years), dtype=bool)
        wanted = filters.genres if isinstance(filters.genres, GenreFilter) else GenreFilter(any=filters.genres or [])
        if wanted.any:
            passing &= self._genres[:, _columns("genres", wanted.any)].any(axis=1)
        if wanted.all:
            passing &= self._genres[:, _columns("genres", wanted.all)].all(axis=1)
        if filters.exclude_genres:
            passing &= ~self._genres[:, _columns("exclude_genres", filters.exclude_genres)].any(axis=1)
        if filters.min_year is not None:
            passing &= self._years >= filters.min_year
        if filters.max_year is not None:
            passing &= (self._years <= filters.max_year) & (self._years > 0)
        if filters.people:
            passing &= self._with_any(self._people, filters.people)
        if filters.country is not None:
            passing &= self._with_any(self._countries, [filters.country])
        if filters.min_rating is not None:
            passing &= (self._ratings >= filters.min_rating) & (self._ratings > 0)
        return passing

    def _with_any(self, known: _Names, names: Iterable[str]) -> npt.NDArray[np.bool_]:
        """(N,) films with a name that holds one of these as whole words."""
        found = np.zeros(len(self._years), dtype=bool)
        for name in names:
            found[known.rows_with(name)] = True
        return found


class _Names:
    """In which films a name occurs. Looked up by its rarest word: a large catalogue knows a hundred thousand names."""

    def __init__(self, films: Iterable[Film], names_of: Callable[[Film], Iterable[str]]) -> None:
        self._rows_of: dict[str, list[int]] = defaultdict(list)
        for row, film in enumerate(films):
            for name in names_of(film):
                if known := plain(name):
                    self._rows_of[known].append(row)
        self._with_word: dict[str, list[str]] = defaultdict(list)
        for known in self._rows_of:
            for word in set(known.split()):
                self._with_word[word].append(known)

    def rows_with(self, name: str) -> list[int]:
        """Rows of films with a name that holds this one as whole words."""
        wanted = plain(name)
        by_word = [self._with_word.get(word, []) for word in wanted.split()]
        rarest = min(by_word, key=len, default=[])
        return [row for known in rarest if f" {wanted} " in f" {known} " for row in self._rows_of[known]]


class JoinedFilter:
    """The films of a release, and behind them those added since."""

    def __init__(self, released: FilmFilter, added: FilmFilter, hidden_rows: npt.NDArray[np.int64]) -> None:
        """hidden_rows: (H,) films that pass nothing."""
        self._parts = released, added
        self._hidden_rows = hidden_rows

    def mask(self, filters: Filters) -> npt.NDArray[np.bool_]:
        """(N + M,) see `FilmFilter.mask`."""
        passing = np.concatenate([part.mask(filters) for part in self._parts])
        passing[self._hidden_rows] = False
        return passing


def applied(filters: Filters) -> dict[str, object]:
    """The filters that were given, as the answer repeats them."""
    given: dict[str, object] = msgspec.to_builtins(filters)
    return given


def genres_named(field: str, genres: Iterable[str]) -> list[str]:
    """Genres as the catalogue writes them. Raises: InvalidRequest for one that does not exist."""
    return [GENRES[column] for column in _columns(field, genres)]


def _columns(field: str, genres: Iterable[str]) -> list[int]:
    column_of = {genre.casefold(): column for column, genre in enumerate(GENRES)}
    for genre in genres:
        if genre.casefold() not in column_of:
            raise InvalidRequest(field, f"expected genres among {', '.join(GENRES)}", genre)
    return [column_of[genre.casefold()] for genre in genres]


def plain(name: str) -> str:
    """Lower case, without accents and doubled spaces."""
    letters = unicodedata.normalize("NFKD", name).casefold()
    return " ".join("".join(letter for letter in letters if not unicodedata.combining(letter)).split())
