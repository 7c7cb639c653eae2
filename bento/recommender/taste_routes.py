"""`PUT /people/{user_id}/taste`: what somebody says of themselves when they sign up, before they watched anything."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from bento.recommender.asgi import About, Request, Response, Route
from bento.recommender.errors import InvalidRequest, NotStored, UnknownMovie
from bento.recommender.events import LIKE_RATING, Event, Feedback
from bento.recommender.questions import row_of
from bento.recommender.request_ids import RequestIds
from bento.recommender.schemas import MovieId, decode, user_id_in_path
from bento.release import Release
from bento.stores.errors import StoreUnavailable
from bento.stores.interfaces import FeatureStore
from features.catalog import GENRES

LIKED_LIMIT = 100


class TasteRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """What a person likes."""

    genres: Annotated[list[Annotated[str, Meta(max_length=100)]], Meta(max_length=len(GENRES))] = []
    """They come first until there is a history; they replace those chosen before."""
    liked: Annotated[list[MovieId], Meta(max_length=LIKED_LIMIT)] = []
    """Films; each is taken as an event `like`."""


class TasteAnswer(Struct, frozen=True):
    """Answer of `PUT /people/{user_id}/taste`."""

    success: bool
    user_id: str
    genres: list[str]
    liked: list[int]


ABOUT = About(
    "Tell what somebody likes before they have watched anything: genres, films, or both",
    "people",
    request=TasteRequest,
    answer=TasteAnswer,
    errors=(400, 404, 413, 422, 503),
    example={"user_id": "visitor-1", "genres": ["Comedy", "Musical"], "liked": [1]},
)


class TasteRoutes:
    """Keeps what newcomers say."""

    def __init__(
        self,
        features: FeatureStore,
        feedback: Feedback,
        release: Release,
        ids: RequestIds,
        now_s: Callable[[], float] = time.time,
    ) -> None:
        self._features = features
        self._feedback = feedback
        self._release = release
        self._ids = ids
        self._now_s = now_s

    def routes(self) -> list[Route]:
        """The one route."""
        return [Route("PUT", "/people/{user_id}/taste", self.put, ABOUT)]

    async def put(self, request: Request) -> Response:
        """Keep it; the next answer reflects it."""
        asked, user_id = decode(request.body, TasteRequest), user_id_in_path(request.path_values)
        answer = await self.keep(user_id, asked)
        return Response(msgspec.json.encode(answer))

    async def keep(self, user_id: str, taste: TasteRequest) -> TasteAnswer:
        """Keep what a person says; all of it is looked at before anything is kept.

        Raises: InvalidRequest (unknown genre), UnknownMovie, NotStored.
        """
        genres = [_place_of(genre) for genre in taste.genres]
        liked = [self._movie_id(movie_id) for movie_id in taste.liked]
        now_s = self._now_s()
        try:
            await self._features.choose_genres(user_id, genres)
        except StoreUnavailable as error:
            raise NotStored("the taste could not be kept, as Redis does not answer; try again") from error
        for movie_id in liked:  # in their order, so that the last is the newest
            event = Event(self._ids.new(), user_id, movie_id, "like", LIKE_RATING, int(now_s), now_s)
            await self._feedback.accept(event)
        return TasteAnswer(True, user_id, [GENRES[place] for place in genres], liked)

    def _movie_id(self, asked: int | str) -> int:
        row = row_of(asked, self._release.catalog)
        if row is None:
            raise UnknownMovie(asked)
        return self._release.catalog.films[row].movie_id


def _place_of(genre: str) -> int:
    for place, known in enumerate(GENRES):
        if known.casefold() == genre.casefold():
            return place
    raise InvalidRequest("genres", f"expected genres among {', '.join(GENRES)}", genre)
