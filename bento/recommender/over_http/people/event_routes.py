"""`POST /events` and `POST /rate`: feedback from whoever shows recommendations."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import Annotated

from msgspec import Meta, Struct
from starlette.requests import Request
from starlette.responses import Response

from bento.http.errors import InvalidRequest
from bento.http.reading import decode
from bento.http.request_ids import RequestIds
from bento.http.responses import JsonResponse
from bento.http.routing import About, Route
from bento.recommender.errors import UnknownMovie
from bento.recommender.people.events import Acknowledgement, Event, Feedback
from bento.recommender.schemas import EventRequest, MovieId, Timestamp, UserId
from bento.release.loading import Release
from bento.stores.person import CLICKED
from features.thresholds import DISLIKE_EVENT_STARS, LIKE_EVENT_STARS, MAX_STARS, MIN_STARS

IDEMPOTENCY_HEADER = "idempotency-key"
_KEY = re.compile(r"[\x21-\x7e]{1,128}")


ABOUT = About(
    "Tell what a person did; the next recommendation reflects it",
    "feedback",
    request=EventRequest,
    answer=Acknowledgement,
    status=202,
    errors=(400, 404, 413, 422, 503),
    headers=("Idempotency-Key",),
    example={"user_id": "visitor-1", "item_id": 1, "event_type": "rate", "value": 4.5},
)


class RateRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """`POST /rate`: the stars that one person gives a film."""

    user_id: UserId
    movie_id: MovieId
    rating: Annotated[float, Meta(ge=MIN_STARS, le=MAX_STARS, description="Stars.")]
    timestamp: Timestamp | None = None


ABOUT_RATE = About(
    "Give a film stars: the event `rate`, for whoever needs nothing else",
    "feedback",
    request=RateRequest,
    answer=Acknowledgement,
    errors=(400, 404, 413, 422, 503),
    headers=("Idempotency-Key",),
    example={"user_id": "visitor-1", "movie_id": 1, "rating": 4.5},
)


class EventRoutes:
    """Takes events in and says what became of them."""

    def __init__(
        self, feedback: Feedback, release: Release, ids: RequestIds, now_s: Callable[[], float] = time.time
    ) -> None:
        self._feedback = feedback
        self._release = release
        self._ids = ids
        self._now_s = now_s

    def routes(self) -> list[Route]:
        """Both routes."""
        return [Route("POST", "/events", self.post, ABOUT), Route("POST", "/rate", self.rate, ABOUT_RATE)]

    async def post(self, request: Request) -> Response:
        """Acknowledge one event. The same Idempotency-Key of the same person counts once."""
        return JsonResponse(await self._accept(decode(await request.body(), EventRequest), request), 202)

    async def rate(self, request: Request) -> Response:
        """Acknowledge stars."""
        asked = decode(await request.body(), RateRequest)
        event = EventRequest(asked.user_id, asked.movie_id, "rate", asked.rating, asked.timestamp)
        return JsonResponse(await self._accept(event, request))

    async def _accept(self, asked: EventRequest, request: Request) -> Acknowledgement:
        key = request.headers.get(IDEMPOTENCY_HEADER)
        if key is not None and not _KEY.fullmatch(key):
            raise InvalidRequest("idempotency-key", "expected 1 to 128 printable ASCII characters without spaces")
        catalog = self._release.catalog
        row = catalog.row_of(asked.item_id)
        if row is None:
            raise UnknownMovie(asked.item_id)
        now_s = self._now_s()
        event = Event(
            event_id=self._ids.new() if key is None else key,
            user_id=str(asked.user_id),
            movie_id=catalog.films[row].movie_id,
            event_type=asked.event_type,
            rating=_rating(asked),
            timestamp_s=int(now_s if asked.timestamp is None else asked.timestamp),
            received_at_s=now_s,
            recommendation_id=asked.recommendation_id,
        )
        return await self._feedback.accept(event)


def _rating(asked: EventRequest) -> float:
    """Stars of an event; 0 = it says none, CLICKED = the film was not watched."""
    if asked.event_type == "rate":
        if asked.value is None:
            raise InvalidRequest("value", "event_type rate needs the stars, 0.5 to 5")
        return asked.value
    return {"like": LIKE_EVENT_STARS, "dislike": DISLIKE_EVENT_STARS, "click": CLICKED}.get(asked.event_type, 0.0)
