"""Events of people: one is acknowledged only when Redis or the fsynced spool holds it.

An event goes to the feature store, which drops the person's cached answers in the same step, and to the event log.
While Redis is unavailable it goes to the spool, which is replayed in order afterwards. The feature store counts an
event id once, so that a replay after a crash changes nothing twice.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from typing import Literal, Protocol

import msgspec
from msgspec import Struct

from bento.background import Periodic
from bento.recommender.errors import NotStored
from bento.stores.errors import StoreUnavailable
from bento.stores.interfaces import EventLog, FeatureStore
from bento.stores.person import Appended, WatchEvent
from bento.stores.spool import Spool
from features.ids import Id

log = logging.getLogger("marquee.events")

EventType = Literal["view", "click", "rate", "like", "dislike", "purchase"]

REPLAY_INTERVAL_S = 1.0

FUTURE_TOLERANCE_S = 60
"""Clocks differ; a timestamp further ahead than this counts as now."""


class Event(Struct, frozen=True):
    """An event of one person, as it is stored."""

    event_id: str
    user_id: str
    movie_id: Id
    event_type: EventType
    rating: float
    """Stars; 0 = none given, -1 = the film was only looked at."""
    timestamp_s: int
    received_at_s: float
    recommendation_id: str | None = None


class Acknowledgement(Struct, frozen=True):
    """The result of an event, as the route returns it."""

    success: bool
    """True: the event is stored and will not be lost."""
    event_id: str
    status: Literal["accepted", "duplicate"]
    """duplicate: this event_id was stored before; nothing was changed."""
    stored_in: Literal["redis", "spool"]
    late: bool
    """It is older than the newest event of the person, and was sorted in by its time."""
    future: bool
    """Its timestamp lay in the future and was replaced by now."""


class Follower(Protocol):
    """A part that is told of each stored event."""

    async def follow(self, event: Event) -> None:
        """Count one event; none comes twice. May raise StoreUnavailable: then it is not counted."""


class Feedback:
    """Stores events and tells the followers."""

    def __init__(
        self,
        features: FeatureStore,
        event_log: EventLog,
        spool: Spool,
        now_s: Callable[[], float] = time.time,
        followers: Sequence[Follower] = (),
        on_spool_bytes: Callable[[int], None] = lambda size: None,
    ) -> None:
        """`on_spool_bytes` is called after each replay with the size of the spool."""
        self._features = features
        self._log = event_log
        self._spool = spool
        self._now_s = now_s
        self._followers = followers
        self._on_spool_bytes = on_spool_bytes
        self._replayer: Periodic | None = None
        self._refused_for = ""
        """The reason that ended the last replay early."""
        self._spooled: dict[tuple[str, str], asyncio.Task[bool]] = {}
        """Person and event_id of the events in the spool, so that a duplicate is recognised before the replay."""

    def start(self) -> None:
        """Start to replay the spool periodically."""
        self._replayer = Periodic("spool-replay", self.replay, REPLAY_INTERVAL_S)

    async def close(self) -> None:
        """Stop; the events in the spool are replayed after the next start."""
        if self._replayer is not None:
            await self._replayer.close()

    async def accept(self, event: Event) -> Acknowledgement:
        """Store one event.

        While older events are in the spool, newer ones follow them there, so that the log keeps their order.
        Raises: NotStored when neither Redis nor the spool can store it.
        """
        now_s = self._now_s()
        future = event.timestamp_s > now_s + FUTURE_TOLERANCE_S
        if future:
            event = msgspec.structs.replace(event, timestamp_s=int(now_s))
        while True:
            if self._spool.is_empty:
                try:
                    return await self._store(event, future)
                except StoreUnavailable as error:
                    log.debug("an event goes to the spool: %s", error)
            acknowledged = await self._spool_event(event, future)
            if acknowledged is not None:
                return acknowledged

    async def _store(self, event: Event, future: bool) -> Acknowledgement:
        """Store an event in Redis. Raises: StoreUnavailable."""
        appended = await self._append(event)
        if not appended.duplicate:
            await asyncio.gather(
                self._log.append(event.user_id, msgspec.json.encode(event)), self._notify_followers(event)
            )
        late = event.timestamp_s < appended.newest_before_s
        status: Literal["accepted", "duplicate"] = "duplicate" if appended.duplicate else "accepted"
        return Acknowledgement(True, event.event_id, status, "redis", late, future)

    async def _spool_event(self, event: Event, future: bool) -> Acknowledgement | None:
        """Store an event in the spool, once; None when a replay has just emptied the spool. Raises: NotStored."""
        key = event.user_id, event.event_id
        writing = self._spooled.get(key)
        status: Literal["accepted", "duplicate"] = "duplicate"
        if writing is None:
            status = "accepted"
            writing = asyncio.create_task(self._spool.add(msgspec.json.encode(event)), name="spool-event")
            self._spooled[key] = writing
        try:
            is_spooled = await asyncio.shield(writing)
        except OSError as error:
            self._spooled.pop(key, None)
            log.error("the spool cannot be written: %s", error)
            raise NotStored from error
        if not is_spooled:
            self._spooled.pop(key, None)
            return None
        return Acknowledgement(True, event.event_id, status, "spool", False, future)

    async def _append(self, event: Event) -> Appended:
        watched = WatchEvent(event.movie_id, event.rating, event.timestamp_s)
        return await self._features.append(event.user_id, [watched], idempotency_key=event.event_id)

    async def replay(self) -> None:
        """Store the events of the spool in Redis, as far as it takes them. Raises: OSError, when the disk fails."""
        try:
            await self._replay()
        finally:
            self._on_spool_bytes(self._spool.size_bytes)

    async def _replay(self) -> None:
        if self._spool.is_empty:
            return
        try:
            taken = await self._spool.replay(self._apply)
        except StoreUnavailable as error:
            if error.reason != self._refused_for:  # logged once: Redis may be reachable and refuse for lack of memory
                log.warning("events wait in the spool: %s", error)
            self._refused_for = error.reason
            return
        self._refused_for = ""
        log.info("%d events went from the spool to redis", taken)
        if self._spool.is_empty:
            self._spooled.clear()  # the feature store recognises them from here on

    async def _apply(self, record: bytes) -> None:
        try:
            event = msgspec.json.decode(record, type=Event)
        except msgspec.DecodeError as error:  # damaged on disk; the others must not wait behind it
            log.error("a spooled record cannot be read and is skipped: %s", error)
            return
        appended = await self._append(event)  # counted before, perhaps: then it changes nothing
        await self._log.append(event.user_id, record)
        if not appended.duplicate:
            await self._notify_followers(event)

    async def _notify_followers(self, event: Event) -> None:
        try:
            await asyncio.gather(*(follower.follow(event) for follower in self._followers))
        except StoreUnavailable as error:
            log.debug("an event is stored, but not counted by every follower: %s", error)
