"""`POST /events`: feedback from whoever shows recommendations."""

from __future__ import annotations

import re
import time
from collections.abc import Callable

import msgspec

from bento.recommender.asgi import About, Request, Response, Route
from bento.recommender.errors import InvalidRequest, UnknownMovie
from bento.recommender.events import DISLIKE_RATING, LIKE_RATING, Acknowledgement, Event, Feedback
from bento.recommender.questions import row_of
from bento.recommender.request_ids import RequestIds
from bento.recommender.schemas import EventRequest, decode
from bento.stores.person import CLICKED
from features.catalog import Catalog

IDEMPOTENCY_HEADER = b"idempotency-key"
_KEY = re.compile(rb"[\x21-\x7e]{1,128}")


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


class EventRoutes:
    """Takes events in and says what became of them."""

    def __init__(
        self, feedback: Feedback, catalog: Catalog, ids: RequestIds, now_s: Callable[[], float] = time.time
    ) -> None:
        self._feedback = feedback
        self._catalog = catalog
        self._ids = ids
        self._now_s = now_s

    def routes(self) -> list[Route]:
        """The one route."""
        return [Route("POST", "/events", self.post, ABOUT)]

    async def post(self, request: Request) -> Response:
        """Acknowledge one event. The same Idempotency-Key of the same person counts once."""
        asked = decode(request.body, EventRequest)
        key = request.headers.get(IDEMPOTENCY_HEADER)
        if key is not None and not _KEY.fullmatch(key):
            raise InvalidRequest("idempotency-key", "expected 1 to 128 printable ASCII characters without spaces")
        row = row_of(asked.item_id, self._catalog)
        if row is None:
            raise UnknownMovie(asked.item_id)
        now_s = self._now_s()
        event = Event(
            event_id=self._ids.new() if key is None else key.decode(),
            user_id=str(asked.user_id),
            movie_id=self._catalog.films[row].movie_id,
            event_type=asked.event_type,
            rating=_rating(asked),
            timestamp_s=int(now_s if asked.timestamp is None else asked.timestamp),
            received_at_s=now_s,
            recommendation_id=asked.recommendation_id,
        )
        return Response(msgspec.json.encode(await self._feedback.accept(event)), 202)


def _rating(asked: EventRequest) -> float:
    """Stars of an event; 0 = it says none, CLICKED = the film was not watched."""
    if asked.event_type == "rate":
        if asked.value is None:
            raise InvalidRequest("value", "event_type rate needs the stars, 0.5 to 5")
        return asked.value
    return {"like": LIKE_RATING, "dislike": DISLIKE_RATING, "click": CLICKED}.get(asked.event_type, 0.0)
