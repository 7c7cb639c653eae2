"""Recommendations to a person in the shapes that applications of older systems ask for.

All of them are `POST /recommend` in other words; what has no place in their bodies is in headers.
"""

from __future__ import annotations

import asyncio
from typing import Annotated

import msgspec
import numpy as np
from msgspec import Meta, Struct
from starlette.requests import Request
from starlette.responses import Response

from bento.auth.callers import caller_of
from bento.http.reading import convert
from bento.http.responses import JsonResponse
from bento.http.routing import About, Route
from bento.recommender.catalogue.films import FilmCards, FilmDetails
from bento.recommender.people.person_films import PersonFilms
from bento.recommender.ranking.neural_sources import without_embeddings
from bento.recommender.recommendations import Recommendations, Recommended
from bento.recommender.schemas import (
    AnswerBody,
    RecommendedFilm,
    RecommendRequest,
    TopK,
    user_id_in_path,
)
from features import thresholds
from features.history import WatchHistory
from features.ids import ID_LENGTH_LIMIT


class UserQuery(Struct, frozen=True, forbid_unknown_fields=True):
    """`GET /recommend/user/{user_id}`."""

    k: TopK = 10


class UserStats(Struct, frozen=True):
    """What is known of the person."""

    total_ratings: int
    """Films watched, with or without stars."""
    liked_movies: int
    """Those with 3.5 stars or more, or watched without stars."""


class UserAnswer(Struct, frozen=True):
    """Answer of `GET /recommend/user/{user_id}`."""

    success: bool
    method: str
    """hybrid; cold_start without a history, or the rung of the fallback ladder that answered."""
    user_id: str
    user_stats: UserStats
    recommendations: list[RecommendedFilm]
    count: int


class MoviesForQuery(Struct, frozen=True, forbid_unknown_fields=True):
    """`GET /movies/recommendations`."""

    user_id: Annotated[str, Meta(min_length=1, max_length=ID_LENGTH_LIMIT)] | None = None
    limit: TopK = 10
    use_embeddings: Annotated[
        bool, Meta(description="false: without the neural sources, from who watched what alone.")
    ] = True


class MovieFor(FilmDetails, frozen=True):
    """A recommended film with everything that is known of it."""

    score: float


class VersionedQuery(Struct, frozen=True, forbid_unknown_fields=True):
    """`GET /api/v1/recommendations/{user_id}`."""

    limit: TopK = 10
    use_cache: Annotated[bool, Meta(description="false: compute the answer anew.")] = True


class VersionedAnswer(Struct, frozen=True):
    """Answer of `GET /api/v1/recommendations/{user_id}`."""

    user_id: str
    recommendations: list[RecommendedFilm]
    cached: bool


ABOUT_USER = About(
    "Recommend films to a person, with what is known of them",
    "recommendations",
    query=UserQuery,
    answer=UserAnswer,
    errors=(422,),
    headers=("X-Request-Id",),
    example={"user_id": "1", "k": 5},
)
ABOUT_MOVIES = About(
    "Recommended films as a bare list, each with everything that is known of it",
    "recommendations",
    query=MoviesForQuery,
    answer=list[MovieFor],
    errors=(422,),
    headers=("X-Request-Id",),
    example={"user_id": "1", "limit": 5, "use_embeddings": True},
)
ABOUT_VERSIONED = About(
    "Recommend films to a person, from the cache where possible",
    "recommendations",
    query=VersionedQuery,
    answer=VersionedAnswer,
    errors=(422,),
    headers=("X-Request-Id",),
    example={"user_id": "1", "limit": 5, "use_cache": True},
)


class PersonRoutes:
    """Three shapes of one answer."""

    def __init__(self, recommendations: Recommendations, cards: FilmCards, person_films: PersonFilms) -> None:
        self._recommendations = recommendations
        self._cards = cards
        self._person_films = person_films
        self._without_embeddings = without_embeddings(recommendations.release.entry.fusion.weights)

    def routes(self) -> list[Route]:
        """All of them."""
        return [
            Route("GET", "/recommend/user/{user_id}", self.user, ABOUT_USER),
            Route("GET", "/movies/recommendations", self.movies, ABOUT_MOVIES),
            Route("GET", "/api/v1/recommendations/{user_id}", self.versioned, ABOUT_VERSIONED),
        ]

    async def user(self, request: Request) -> Response:
        """Recommendations beside the person's figures."""
        query, user_id = convert(request.query_params, UserQuery), user_id_in_path(request.path_params)
        (history, missing), made = await asyncio.gather(
            self._person_films.of(user_id),
            self._recommendations.ask(RecommendRequest(user_id, top_k=query.k), request),
        )
        made.answer.degraded = list(dict.fromkeys([*missing, *made.answer.degraded]))
        body = made.read()
        films = body.recommendations
        answer = UserAnswer(True, body.strategy, user_id, _stats(history), films, len(films))
        return _response(answer, made, body)

    async def movies(self, request: Request) -> Response:
        """A bare list."""
        query = convert(request.query_params, MoviesForQuery)
        weights = None if query.use_embeddings else self._without_embeddings
        user_id = query.user_id or caller_of(request).person
        asked = RecommendRequest(user_id, top_k=query.limit, weights=weights)
        made = await self._recommendations.ask(asked, request)
        catalog = self._recommendations.release.catalog
        films, body = [], made.read()
        for film in body.recommendations:
            row = catalog.row_of(film.movie_id)
            assert row is not None, "an answer names its own release's films"
            films.append(MovieFor(**msgspec.structs.asdict(self._cards.details(row)), score=film.score))
        return _response(films, made, body)

    async def versioned(self, request: Request) -> Response:
        """Recommendations, and whether they come from the cache."""
        query, user_id = convert(request.query_params, VersionedQuery), user_id_in_path(request.path_params)
        asked = RecommendRequest(user_id, top_k=query.limit)
        made = await self._recommendations.ask(asked, request, use_cache=query.use_cache)
        body = made.read()
        return _response(VersionedAnswer(user_id, body.recommendations, made.answer.cached), made, body)


def _response(answer: object, made: Recommended, body: AnswerBody) -> Response:
    return JsonResponse(answer, headers=made.headers(body.reason))


def _stats(history: WatchHistory) -> UserStats:
    return UserStats(len(history.item_rows), int(np.count_nonzero(thresholds.liked(history.ratings))))
