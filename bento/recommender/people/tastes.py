"""The taste that people state themselves: genres, which come first in their lists until they have a history, and films,
each stored as an event `like`."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated

from msgspec import Meta

from bento.http.errors import InvalidRequest
from bento.http.request_ids import RequestIds
from bento.recommender.errors import NotStored, UnknownMovie
from bento.recommender.people.events import Event, Feedback
from bento.recommender.schemas import MovieId
from bento.release.loading import Release
from bento.stores.errors import StoreUnavailable
from bento.stores.interfaces import FeatureStore
from features.catalog import GENRES
from features.ids import Id
from features.thresholds import LIKE_EVENT_STARS

LIKED_LIMIT = 100

ChosenGenres = Annotated[list[Annotated[str, Meta(max_length=100)]], Meta(max_length=len(GENRES))]
LikedFilms = Annotated[list[MovieId], Meta(max_length=LIKED_LIMIT)]


@dataclass(frozen=True, slots=True)
class Taste:
    """Genres and films that exist in the catalogue."""

    genres: list[int]
    """Places in `GENRES`."""
    liked: list[Id]
    """movie_ids, in the order given."""

    @property
    def genre_names(self) -> list[str]:
        """The genres as the catalogue writes them."""
        return [GENRES[place] for place in self.genres]


class Tastes:
    """Reads and stores tastes."""

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

    def read(self, genres: Sequence[str], liked: Sequence[int | str]) -> Taste:
        """The taste that a request states. Raises: InvalidRequest (unknown genre), UnknownMovie."""
        return Taste([_place_of(genre) for genre in genres], [self._movie_id(movie_id) for movie_id in liked])

    async def keep(self, user_id: str, taste: Taste) -> None:
        """Store a taste; its genres replace those stored before. Raises: NotStored."""
        now_s = self._now_s()
        try:
            await self._features.choose_genres(user_id, taste.genres)
        except StoreUnavailable as error:
            raise NotStored("the taste could not be kept, as Redis does not answer; try again") from error
        for movie_id in taste.liked:  # in their order, so that the last is the newest
            event = Event(self._ids.new(), user_id, movie_id, "like", LIKE_EVENT_STARS, int(now_s), now_s)
            await self._feedback.accept(event)

    def _movie_id(self, asked: int | str) -> Id:
        row = self._release.catalog.row_of(asked)
        if row is None:
            raise UnknownMovie(asked)
        return self._release.catalog.films[row].movie_id


def _place_of(genre: str) -> int:
    for place, known in enumerate(GENRES):
        if known.casefold() == genre.casefold():
            return place
    raise InvalidRequest("genres", f"expected genres among {', '.join(GENRES)}", genre)
