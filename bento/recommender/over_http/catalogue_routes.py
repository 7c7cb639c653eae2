"""Routes about films: look one up, page through them, find them, see what is like them, show their posters."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable
from typing import Annotated

import numpy as np
import numpy.typing as npt
from msgspec import Meta, Struct
from starlette.requests import Request
from starlette.responses import Response

from bento.http.errors import InvalidRequest
from bento.http.reading import convert, decode
from bento.http.request_ids import RequestIds
from bento.http.responses import JsonResponse
from bento.http.routing import About, Route
from bento.recommender.catalogue.film_search import FilmSearch
from bento.recommender.catalogue.films import FilmCards, FilmDetails, SortKey
from bento.recommender.catalogue.posters import Picture, Posters
from bento.recommender.catalogue.similarity import By, ItemSimilarity
from bento.recommender.errors import UnknownMovie
from bento.recommender.ranking.shortfall import too_few_neighbours
from bento.recommender.recommendations import reason_header, release_headers
from bento.recommender.schemas import MovieId, TopK, Year
from bento.release.film_table import Live
from bento.release.loading import Release
from features.catalog import GENRES
from features.ids import Id

PAGE_LIMIT = 100
QUERY_LIMIT = 200


class SimilarRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """`POST /similar`."""

    movie_id: MovieId
    top_k: TopK = 10
    by: By = "blend"


class SimilarFilm(Struct, frozen=True):
    """A film like the one asked for; similarity is -1..1, 0 = as alike as any two films."""

    movie_id: Id
    similarity: float


class SimilarAnswer(Struct, frozen=True):
    """Answer of `POST /similar`."""

    movie_id: Id
    similar: list[SimilarFilm]


class MoviesQuery(Struct, frozen=True, forbid_unknown_fields=True):
    """`GET /movies`."""

    page: Annotated[int, Meta(ge=1, le=1_000_000)] = 1
    page_size: Annotated[int, Meta(ge=1, le=PAGE_LIMIT)] = 20
    sort: SortKey = "popularity"
    genre: str | None = None
    """One genre, or several with commas: films that have all of them."""
    min_year: Year | None = None
    max_year: Year | None = None


class MoviesPage(Struct, frozen=True):
    """Answer of `GET /movies`."""

    movies: list[FilmDetails]
    total: int
    """Films on all pages."""
    page: int
    pages: int


class SearchQuery(Struct, frozen=True, forbid_unknown_fields=True):
    """`GET /search`."""

    q: Annotated[str, Meta(min_length=1, max_length=QUERY_LIMIT)]
    limit: Annotated[int, Meta(ge=1, le=PAGE_LIMIT)] = 10


class FoundFilm(Struct, frozen=True):
    """A film that a search found, and by what."""

    movie_id: Id
    title: str
    year: int | None
    genres: tuple[str, ...]
    poster_url: str | None
    match: str
    """title, or meaning."""
    score: float


class SearchAnswer(Struct, frozen=True):
    """Answer of `GET /search`."""

    query: str
    films: list[FoundFilm]
    degraded: list[str]


ABOUT = {
    "similar": About(
        "Films like a film",
        "films",
        request=SimilarRequest,
        answer=SimilarAnswer,
        errors=(400, 404, 413, 422),
        example={"movie_id": 1, "top_k": 5, "by": "blend"},
    ),
    "movie": About("Everything about one film", "films", answer=FilmDetails, errors=(404,), example={"movie_id": "1"}),
    "movies": About(
        "Films in pages, sorted and filtered",
        "films",
        query=MoviesQuery,
        answer=MoviesPage,
        errors=(422,),
        example={"sort": "rating", "genre": "Drama", "min_year": 1990},
    ),
    "search": About(
        "Find films by title or by meaning",
        "films",
        query=SearchQuery,
        answer=SearchAnswer,
        errors=(422,),
        example={"q": "quiet films about the sea"},
    ),
    "poster": About(
        "A film's poster, drawn where there is none",
        "films",
        content_types=("image/jpeg", "image/svg+xml"),
        errors=(404,),
        example={"movie_id": "1"},
    ),
}


async def _no_poster(movie_id: Id) -> None:
    return None


class CatalogueRoutes:
    """Everything about films that needs no person."""

    def __init__(
        self,
        release: Release,
        cards: FilmCards,
        similarity: Live[ItemSimilarity],
        posters: Posters,
        search: FilmSearch,
        ids: RequestIds,
        added_poster: Callable[[Id], Awaitable[bytes | None]] = _no_poster,
    ) -> None:
        """`added_poster`: the poster of a film that was added since the release, by movie_id."""
        self._release = release
        self._cards = cards
        self._posters = posters
        self._search = search
        self._ids = ids
        self._similarity = similarity
        self._added_poster = added_poster
        self._years = Live(release, lambda films: np.array([film.year or 0 for film in films.catalog.films]))

    def routes(self) -> list[Route]:
        """All of them."""
        return [
            Route("POST", "/similar", self.similar, ABOUT["similar"]),
            Route("GET", "/movie/{movie_id}", self.movie, ABOUT["movie"]),
            Route("GET", "/movies", self.movies, ABOUT["movies"]),
            Route("GET", "/search", self.search, ABOUT["search"]),
            Route("GET", "/poster/{movie_id}", self.poster, ABOUT["poster"]),
        ]

    async def similar(self, request: Request) -> Response:
        """Films like a film. One that has no vector of the kind asked for is compared by what it has."""
        asked = decode(await request.body(), SimilarRequest)
        row = self._row(asked.movie_id)
        similarity = self._similarity.now
        by: By = asked.by if similarity.has(row, asked.by) else "blend"
        rows, similarities = await asyncio.to_thread(similarity.nearest, row, by, asked.top_k)
        films = [
            SimilarFilm(self._release.catalog.films[other].movie_id, round(similarity, 6))
            for other, similarity in zip(rows.tolist(), similarities.tolist(), strict=True)
        ]
        answer = SimilarAnswer(self._release.catalog.films[row].movie_id, films)
        reason = reason_header(too_few_neighbours(len(films), asked.top_k))
        headers = self._headers(request) | {"x-marquee-compared-by": by} | reason
        return JsonResponse(answer, headers=headers)

    async def movie(self, request: Request) -> Response:
        """Everything about one film."""
        details = self._cards.details(self._row(request.path_params["movie_id"]))
        return JsonResponse(details, headers=self._headers(request))

    async def movies(self, request: Request) -> Response:
        """One page of films."""
        query = convert(request.query_params, MoviesQuery)
        rows = self._cards.in_order(query.sort)
        rows = rows[self._matches(query)[rows]]
        start = (query.page - 1) * query.page_size
        films = [self._cards.details(row) for row in rows[start : start + query.page_size].tolist()]
        answer = MoviesPage(films, len(rows), query.page, math.ceil(len(rows) / query.page_size))
        return JsonResponse(answer, headers=self._headers(request))

    async def search(self, request: Request) -> Response:
        """Films by title, and where titles do not say it, by meaning."""
        query = convert(request.query_params, SearchQuery)
        found, degraded = await self._search.find(query.q, query.limit)
        films = []
        for hit in found:
            film = self._cards.card(hit.row)
            films.append(
                FoundFilm(film.movie_id, film.title, film.year, film.genres, film.poster_url, hit.match, hit.score)
            )
        return JsonResponse(SearchAnswer(query.q, films, degraded), headers=self._headers(request))

    async def poster(self, request: Request) -> Response:
        """A film's poster. One that belongs to the release may be kept for a day, an added film's can be replaced."""
        age_s = 86_400
        film = self._release.catalog.films[self._row(request.path_params["movie_id"])]
        picture = self._posters.of(film)
        if film.movie_id in self._release.films.with_poster and (added := await self._added_poster(film.movie_id)):
            picture, age_s = Picture(added, "image/jpeg"), 60
        headers = self._headers(request) | {"cache-control": f"public, max-age={age_s}"}
        return Response(picture.content, headers=headers, media_type=picture.content_type)

    def _matches(self, query: MoviesQuery) -> npt.NDArray[np.bool_]:
        """(N,) films that pass the filters. Films whose year is not known pass no bound on it."""
        years = self._years.now
        matches = np.ones(len(years), dtype=bool)
        for genre in query.genre.split(",") if query.genre else ():
            if genre not in GENRES:
                raise InvalidRequest("genre", f"expected genres among {', '.join(GENRES)}", genre)
            matches &= self._release.catalog.genre_matrix[:, GENRES.index(genre)] > 0
        if query.min_year is not None:
            matches &= years >= query.min_year
        if query.max_year is not None:
            matches &= (years <= query.max_year) & (years > 0)
        return matches

    def _row(self, movie_id: int | str) -> int:
        row = self._release.catalog.row_of(movie_id)
        if row is None or not self._release.films.visible[row]:
            raise UnknownMovie(movie_id)
        return row

    def _headers(self, request: Request) -> dict[str, str]:
        """What answers of a fixed shape carry beside their body."""
        return release_headers(self._release, self._ids.of(request) or self._ids.new())
