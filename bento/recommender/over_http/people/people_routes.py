"""Routes about people: whom the release knows, and what one of them has watched."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct
from starlette.requests import Request
from starlette.responses import Response

from bento.http.reading import convert
from bento.http.request_ids import RequestIds
from bento.http.responses import JsonResponse
from bento.http.routing import About, Route
from bento.recommender.catalogue.films import FilmCards
from bento.recommender.people.favourites import favourite_genres
from bento.recommender.people.person_films import PersonFilms
from bento.recommender.recommendations import release_headers
from bento.recommender.schemas import user_id_in_path
from bento.release.loading import Release
from bento.stores.interfaces import FeatureStore
from features.history import WatchHistory
from features.ids import ID_LENGTH_LIMIT, Id

PAGE_LIMIT = 100
HISTORY_PAGE_LIMIT = 1_000


class PeopleQuery(Struct, frozen=True, forbid_unknown_fields=True):
    """`GET /people`."""

    limit: Annotated[int, Meta(ge=1, le=PAGE_LIMIT)] = 12
    offset: Annotated[int, Meta(ge=0, le=2**31)] = 0
    q: Annotated[str, Meta(max_length=ID_LENGTH_LIMIT, description="Beginning of the id.")] = ""


class KnownPerson(Struct, frozen=True):
    """Somebody whom the release was trained on, as it knew them."""

    user_id: str
    total_ratings: int
    genres: list[str]
    """At most three, the most telling first."""


class PeoplePage(Struct, frozen=True):
    """Answer of `GET /people`."""

    people: list[KnownPerson]
    total: int
    """People on all pages."""
    simulated: bool
    """A program made these people up."""


class PersonQuery(Struct, frozen=True, forbid_unknown_fields=True):
    """`GET /people/{user_id}`."""

    limit: Annotated[int, Meta(ge=1, le=HISTORY_PAGE_LIMIT, description="Films to show, newest first.")] = 50


class WatchedFilm(Struct, frozen=True):
    """A film that somebody watched."""

    movie_id: Id
    title: str
    genres: tuple[str, ...]
    year: int | None
    poster_url: str | None
    rating: float | None
    timestamp: int | None
    """Unix seconds."""


class Person(Struct, frozen=True):
    """Answer of `GET /people/{user_id}`; for an unknown person it is empty, which is no error."""

    user_id: str
    total_ratings: int
    genres: list[str]
    history: list[WatchedFilm]
    """Newest first."""
    degraded: list[str]


class PeopleRoutes:
    """What is known of people. What they did since the release was trained is read from the feature store."""

    def __init__(self, release: Release, cards: FilmCards, features: FeatureStore, ids: RequestIds) -> None:
        self._release = release
        self._cards = cards
        self._person_films = PersonFilms(release, features)
        self._ids = ids
        self._user_ids = tuple(release.people.row_of)

    def routes(self) -> list[Route]:
        """Both routes."""
        people = About("People whom the release knows", "people", query=PeopleQuery, answer=PeoplePage, errors=(422,))
        person = About(
            "What somebody has watched",
            "people",
            query=PersonQuery,
            answer=Person,
            errors=(422,),
            example={"user_id": "1", "limit": 5},
        )
        return [
            Route("GET", "/people", self.people, people),
            Route("GET", "/people/{user_id}", self.person, person),
        ]

    async def people(self, request: Request) -> Response:
        """One page of known people, in the order of the data."""
        query = convert(request.query_params, PeopleQuery)
        found = [user_id for user_id in self._user_ids if user_id.startswith(query.q)] if query.q else self._user_ids
        page = [self._known(user_id) for user_id in found[query.offset : query.offset + query.limit]]
        answer = PeoplePage(page, len(found), self._release.entry.data.simulated)
        return JsonResponse(answer, headers=self._headers(request))

    async def person(self, request: Request) -> Response:
        """A person's history: the release's, continued by what they did since."""
        query = convert(request.query_params, PersonQuery)
        user_id = user_id_in_path(request.path_params)
        history, degraded = await self._person_films.of(user_id)
        films = [self._film(history, at) for at in range(len(history.item_rows) - 1, -1, -1)[: query.limit]]
        answer = Person(user_id, len(history.item_rows), self._genres(history), films, degraded)
        return JsonResponse(answer, headers=self._headers(request))

    def _known(self, user_id: str) -> KnownPerson:
        history = self._release.people.history_of(user_id)
        return KnownPerson(user_id, len(history.item_rows), self._genres(history))

    def _genres(self, history: WatchHistory) -> list[str]:
        return favourite_genres(history, self._release.catalog.genre_matrix)

    def _film(self, history: WatchHistory, at: int) -> WatchedFilm:
        film = self._cards.card(int(history.item_rows[at]))
        rating, timestamp_s = float(history.ratings[at]), int(history.timestamps_s[at])
        watched = rating or None, timestamp_s or None
        return WatchedFilm(film.movie_id, film.title, film.genres, film.year, film.poster_url, *watched)

    def _headers(self, request: Request) -> dict[str, str]:
        """What answers of a fixed shape carry beside their body."""
        return release_headers(self._release, self._ids.of(request) or self._ids.new())
