"""The fields of films in answers, and the orders of film lists."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from typing import Any, Literal
from urllib.parse import quote

import msgspec
import numpy as np
import numpy.typing as npt
from msgspec import UNSET, UnsetType

from bento.recommender.catalogue.posters import Posters
from bento.recommender.schemas import Reasons, RecommendedFilm
from bento.release.film_table import FilmTable, Live
from bento.release.loading import Release
from features.catalog import Film
from features.ids import Id

SortKey = Literal["popularity", "title", "year", "rating"]


class FilmCard(msgspec.Struct, frozen=True):
    """What lists show of a film. poster_url is null where the release holds no poster."""

    movie_id: Id
    title: str
    year: int | None
    genres: tuple[str, ...]
    poster_url: str | None


class FilmDetails(msgspec.Struct, frozen=True):
    """All fields of a film. Empty strings and lists, and null, mean "not known"."""

    movie_id: Id
    title: str
    year: int | None
    genres: tuple[str, ...]
    director: str
    cast: tuple[str, ...]
    country: str
    overview: str
    tags: tuple[str, ...]
    poster_url: str | None
    vote_average: float | None
    """Mean of the stars that the release's people gave."""
    vote_count: int
    popularity: float


class FilmCards:
    """The fields of each film of a release, by row."""

    def __init__(self, release: Release, posters: Posters, root_path: str = "") -> None:
        """`root_path`: the prefix of addresses of posters."""
        self.root_path = root_path
        self._release = release
        self._posters = posters
        self._released_ratings = release.people.rating_statistics(release.films.n_released)
        self._ratings = Live(release, self.ratings_of)
        self._orders = Live(release, self._sorted)

    @property
    def mean_ratings(self) -> npt.NDArray[np.float32]:
        """(N,) mean of the stars, 0 for unrated films."""
        return self._ratings.now[1]

    def ratings_of(self, films: FilmTable) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]:
        """(N,) how many people rated each film, and the mean of their stars; 0 for unrated films."""
        counts, means = self._released_ratings
        return _lengthened(counts, len(films.catalog)), _lengthened(means, len(films.catalog))

    def recommended(
        self,
        rows: npt.NDArray[np.int64],
        scores: npt.NDArray[np.float32],
        reasons: Sequence[Reasons] | None = None,
    ) -> list[RecommendedFilm]:
        """Films with their scores, rounded to what float32 carries, and with reasons where they are given."""
        catalog = self._release.catalog
        films = (catalog.films[row] for row in rows.tolist())
        whys: Iterable[Reasons | UnsetType] = itertools.repeat(UNSET, len(rows)) if reasons is None else reasons
        return [
            RecommendedFilm(
                film.movie_id, round(score, 6), film.title, film.genres, film.year, self._poster_url(film), why
            )
            for film, score, why in zip(films, scores.tolist(), whys, strict=True)
        ]

    def card(self, row: int) -> FilmCard:
        """The fields of one film in lists."""
        film = self._release.catalog.films[row]
        return FilmCard(film.movie_id, film.title, film.year, film.genres, self._poster_url(film))

    def details(self, row: int) -> FilmDetails:
        """All fields of one film."""
        film, count = self._release.catalog.films[row], int(self._ratings.now[0][row])
        return FilmDetails(
            movie_id=film.movie_id,
            title=film.title,
            year=film.year,
            genres=film.genres,
            director=film.director,
            cast=film.cast,
            country=film.country,
            overview=film.overview,
            tags=film.tags,
            poster_url=self._poster_url(film),
            vote_average=round(float(self.mean_ratings[row]), 2) if count else None,
            vote_count=count,
            popularity=round(float(self._release.popularity[row]), 6),
        )

    def in_order(self, key: SortKey) -> npt.NDArray[np.int64]:
        """Rows of all films by a key: the highest popularity, rating or year first; titles from A to Z.

        Ties by popularity. Hidden films are left out.
        """
        return self._orders.now[key]

    def _poster_url(self, film: Film) -> str | None:
        shown = film.movie_id in self._posters or film.movie_id in self._release.films.with_poster
        return f"{self.root_path}/poster/{quote(str(film.movie_id), safe='')}" if shown else None

    def _sorted(self, table: FilmTable) -> dict[SortKey, npt.NDArray[np.int64]]:
        films = table.catalog.films
        by_popularity = np.argsort(-table.popularity, kind="stable")
        by_popularity = by_popularity[table.visible[by_popularity]]
        years = np.array([film.year or 0 for film in films])[by_popularity]
        titles = np.array([film.title.casefold() for film in films], dtype=object)[by_popularity]
        ratings = self.ratings_of(table)[1][by_popularity]
        return {
            "popularity": by_popularity,
            "year": by_popularity[np.argsort(-years, kind="stable")],
            "title": by_popularity[np.argsort(titles, kind="stable")],
            "rating": by_popularity[np.argsort(-ratings, kind="stable")],
        }


def _lengthened(values: npt.NDArray[Any], length: int) -> npt.NDArray[Any]:
    """(N,) with zeros behind it."""
    return np.concatenate([values, np.zeros(length - len(values), dtype=values.dtype)])
