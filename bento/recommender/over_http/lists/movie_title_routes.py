"""`GET /recommend/movie`: films like the one that a title means, by what is in them."""

from __future__ import annotations

import asyncio
import re
from typing import Annotated

import msgspec
from msgspec import Meta, Struct
from starlette.requests import Request
from starlette.responses import Response

from bento.http.reading import convert
from bento.http.request_ids import RequestIds
from bento.http.responses import JsonResponse
from bento.http.routing import About, Route
from bento.recommender.catalogue.films import FilmCard, FilmCards
from bento.recommender.catalogue.similarity import ItemSimilarity, Kind
from bento.recommender.catalogue.title_search import LiveTitles
from bento.recommender.errors import UnknownTitle
from bento.recommender.ranking.shortfall import too_few_neighbours
from bento.recommender.recommendations import reason_header, release_headers
from bento.release.film_table import Live
from bento.release.loading import Release

TITLE_LIMIT = 200
K_LIMIT = 50

CANDIDATES = 20
"""Films of like titles among which a year in the title decides."""

YEAR = re.compile(r"\((\d{4})\)\s*$")


class TitleQuery(Struct, frozen=True, forbid_unknown_fields=True):
    """`GET /recommend/movie`."""

    title: Annotated[
        str, Meta(min_length=1, max_length=TITLE_LIMIT, description="A title; slips are forgiven, a year may follow.")
    ]
    k: Annotated[int, Meta(ge=1, le=K_LIMIT, description="How many films to return.")] = 10


class LikeFilm(FilmCard, frozen=True):
    """A film like the one that was meant."""

    similarity_score: float
    """-1..1; 0 = as alike as any two films."""


class TitleAnswer(Struct, frozen=True):
    """Answer of `GET /recommend/movie`."""

    success: bool
    method: str
    """content-based; collaborative for a film of which neither text nor poster is known."""
    query_movie: FilmCard
    """The film that the title was taken to mean."""
    recommendations: list[LikeFilm]
    count: int


ABOUT = About(
    "Films like the one that a title means, by text and poster",
    "films",
    query=TitleQuery,
    answer=TitleAnswer,
    errors=(404, 422),
    headers=("X-Request-Id",),
    example={"title": "Toy Stroy", "k": 5},
)


class MovieTitleRoutes:
    """Finds the film, then its neighbours."""

    def __init__(
        self, release: Release, cards: FilmCards, similarity: Live[ItemSimilarity], titles: LiveTitles, ids: RequestIds
    ) -> None:
        self._release = release
        self._cards = cards
        self._similarity = similarity
        self._titles = titles
        self._ids = ids

    def routes(self) -> list[Route]:
        """The one route."""
        return [Route("GET", "/recommend/movie", self.get, ABOUT)]

    async def get(self, request: Request) -> Response:
        """The films most like the one that the title means."""
        query = convert(request.query_params, TitleQuery)
        row = self._meant(query.title)
        similarity = self._similarity.now
        kind: Kind = "content" if similarity.has(row, "content") else "collaborative"
        rows, similarities = await asyncio.to_thread(similarity.nearest, row, kind, query.k)
        films = [
            LikeFilm(**msgspec.structs.asdict(self._cards.card(other)), similarity_score=round(similarity, 6))
            for other, similarity in zip(rows.tolist(), similarities.tolist(), strict=True)
        ]
        method = "content-based" if kind == "content" else "collaborative"
        answer = TitleAnswer(True, method, self._cards.card(row), films, len(films))
        headers = release_headers(self._release, self._ids.of(request) or self._ids.new())
        reason = reason_header(too_few_neighbours(len(films), query.k))
        return JsonResponse(answer, headers=headers | reason)

    def _meant(self, title: str) -> int:
        """Row of the film whose title fits best; of films that fit alike, the one of the year in the title.

        Raises: UnknownTitle.
        """
        found = self._titles.find(title, CANDIDATES)
        if not found:
            raise UnknownTitle(title)
        given = YEAR.search(title)
        if given is not None:
            films = self._release.catalog.films
            of_that_year = [row for row, score in found if score >= 1 and films[row].year == int(given[1])]
            return of_that_year[0] if of_that_year else found[0][0]
        return found[0][0]
