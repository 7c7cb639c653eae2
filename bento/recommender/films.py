"""Films as answers show them."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import Literal

import msgspec
import numpy as np
import numpy.typing as npt
from msgspec import UNSET, UnsetType

from bento.recommender.posters import Posters
from bento.recommender.schemas import Reasons, RecommendedFilm
from bento.release import Release
from features.catalog import Film

SortKey = Literal["popularity", "title", "year", "rating"]


class FilmCard(msgspec.Struct, frozen=True):
    """What lists show of a film. poster_url is null where the release holds no poster."""

    movie_id: int
    title: str
    year: int | None
    genres: tuple[str, ...]
    poster_url: str | None


class FilmDetails(msgspec.Struct, frozen=True):
    """Everything that is known of a film. Empty strings and lists, and null, mean "not known"."""

    movie_id: int
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
    """What is shown of each film of a release, looked up by row."""

    def __init__(self, release: Release, posters: Posters) -> None:
        self._films = release.catalog.films
        self._posters = posters
        self._popularity = release.popularity
        self._counts, self.mean_ratings = release.people.rating_statistics(len(release.catalog))

    def recommended(
        self,
        rows: npt.NDArray[np.int64],
        scores: npt.NDArray[np.float32],
        reasons: Sequence[Reasons] | None = None,
    ) -> list[RecommendedFilm]:
        """Films with their scores, rounded to what float32 carries, and with reasons where they are given."""
        films = (self._films[row] for row in rows.tolist())
        whys: Iterable[Reasons | UnsetType] = itertools.repeat(UNSET, len(rows)) if reasons is None else reasons
        return [
            RecommendedFilm(
                film.movie_id, round(score, 6), film.title, film.genres, film.year, self._poster_url(film), why
            )
            for film, score, why in zip(films, scores.tolist(), whys, strict=True)
        ]

    def card(self, row: int) -> FilmCard:
        """What lists show of one film."""
        film = self._films[row]
        return FilmCard(film.movie_id, film.title, film.year, film.genres, self._poster_url(film))

    def details(self, row: int) -> FilmDetails:
        """Everything about one film."""
        film, count = self._films[row], int(self._counts[row])
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
            popularity=round(float(self._popularity[row]), 6),
        )

    def in_order(self, key: SortKey) -> npt.NDArray[np.int64]:
        """All rows by a key: the popular, the well rated and the new first; titles from A to Z. Ties by popularity."""
        return self._orders[key]

    def _poster_url(self, film: Film) -> str | None:
        return f"/poster/{film.movie_id}" if film.movie_id in self._posters else None

    @cached_property
    def _orders(self) -> dict[SortKey, npt.NDArray[np.int64]]:
        by_popularity = np.argsort(-self._popularity, kind="stable")
        years = np.array([film.year or 0 for film in self._films])[by_popularity]
        titles = np.array([film.title.casefold() for film in self._films], dtype=object)[by_popularity]
        ratings = self.mean_ratings[by_popularity]
        return {
            "popularity": by_popularity,
            "year": by_popularity[np.argsort(-years, kind="stable")],
            "title": by_popularity[np.argsort(titles, kind="stable")],
            "rating": by_popularity[np.argsort(-ratings, kind="stable")],
        }
