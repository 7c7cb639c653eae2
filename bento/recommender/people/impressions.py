"""Impressions: the lists that were served to people, so that later events on them can be counted.

No request waits: lists are written in the background, in order, and are dropped and counted as lost while Redis is
unavailable. An event with a `recommendation_id` marks that list as clicked, once.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping

import msgspec

from bento.background import QueueWorker
from bento.recommender.people.events import Event
from bento.recommender.telemetry.metrics import Metrics
from bento.stores.errors import StoreUnavailable
from bento.stores.impressions import Impression
from bento.stores.interfaces import ImpressionLog
from features.ids import Id
from features.thresholds import LIKED_FROM

log = logging.getLogger("marquee.impressions")

WAITING_LIMIT = 10_000
"""Lists that may wait to be written; with more, the oldest are lost."""

BATCH = 64
"""Lists written at a time, with one command and in one round trip."""


class _Film(msgspec.Struct):
    movie_id: Id


class _Served(msgspec.Struct):
    """The fields of an answer's body that an impression needs."""

    recommendations: list[_Film]
    strategy: str
    release: int


_SERVED = msgspec.json.Decoder(_Served)


class Impressions:
    """Records served lists and the events that refer to them."""

    def __init__(
        self,
        store: ImpressionLog,
        counter_keys: Mapping[str, str],
        metrics: Metrics,
        now_s: Callable[[], float] = time.time,
    ) -> None:
        """`counter_keys`: experiment -> the name under which the store counts it, for those that run."""
        self._store = store
        self._keys = counter_keys
        self._metrics = metrics
        self._now_s = now_s
        self._queue: QueueWorker[tuple[str | None, Impression]] = QueueWorker(
            "impressions", self._write, BATCH, WAITING_LIMIT
        )

    def note(self, user_id: str | None, recommendation_id: str, body: bytes, arms: Mapping[str, str]) -> None:
        """Record a served list; body: JSON of `schemas.AnswerBody`."""
        served = _SERVED.decode(body)
        movie_ids = [film.movie_id for film in served.recommendations]
        impression = Impression(
            recommendation_id, movie_ids, arms, served.strategy, served.release, round(self._now_s(), 3)
        )
        if not self._queue.put((user_id, impression)):
            self._metrics.impressions.labels("lost").inc()

    async def follow(self, event: Event) -> None:
        """Count the list that an event refers to as clicked, where the event is a positive one."""
        if event.recommendation_id is None or not _is_positive(event):
            return
        clicked = await self._store.click(event.user_id, event.recommendation_id, event.movie_id, self._keys)
        if clicked:
            self._metrics.impressions.labels("clicked").inc()

    async def forget(self, user_id: str) -> None:
        """Erase the lists that a person was served, also those not yet written. Raises: StoreUnavailable."""
        async with self._queue.paused() as waiting:
            waiting[:] = [one for one in waiting if one[0] != user_id]
            await self._store.forget(user_id)

    async def close(self) -> None:
        """Wait until all lists are written."""
        await self._queue.close()

    async def _write(self, batch: list[tuple[str | None, Impression]]) -> None:
        await asyncio.gather(self._show([impression for _, impression in batch]), self._write_per_person(batch))

    async def _show(self, impressions: list[Impression]) -> None:
        try:
            await self._store.show(impressions)
        except StoreUnavailable as error:
            log.debug("lists are not shown: %s", error)

    async def _write_per_person(self, batch: list[tuple[str | None, Impression]]) -> None:
        served = [(user_id, impression) for user_id, impression in batch if user_id is not None]
        stored = len(batch)
        try:
            await self._store.note(served, self._keys)
        except StoreUnavailable as error:
            log.debug("%d impressions are lost: %s", len(served), error)  # the circuit breaker has logged it already
            self._metrics.impressions.labels("lost").inc(len(served))
            stored -= len(served)
        self._metrics.impressions.labels("stored").inc(stored)


def _is_positive(event: Event) -> bool:
    """Whether the person accepted the film by this event."""
    if event.event_type == "rate":
        return event.rating >= LIKED_FROM
    return event.event_type != "dislike"
