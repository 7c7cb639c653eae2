"""What people do, taken in: an event is acknowledged only when Redis or the fsynced spool holds it.

Four stops: route -> feature store (which forgets the person's cached answers in the same step) -> event log; and
when Redis is away, the spool, which is replayed in order once it is back. Every event has an id under which the
feature store counts it once, so a replay after a crash changes nothing twice.
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

log = logging.getLogger("marquee.events")

EventType = Literal["view", "click", "rate", "like", "dislike", "purchase"]

LIKE_RATING = 5.0
DISLIKE_RATING = 0.5

REPLAY_INTERVAL_S = 1.0

FUTURE_TOLERANCE_S = 60
"""Clocks differ; a timestamp further ahead than this counts as now."""


class Event(Struct, frozen=True):
    """One thing that one person did, as it is kept."""

    event_id: str
    user_id: str
    movie_id: int
    event_type: EventType
    rating: float
    """Stars; 0 = none given, -1 = the film was only looked at."""
    timestamp_s: int
    received_at_s: float
    recommendation_id: str | None = None


class Acknowledgement(Struct, frozen=True):
    """What became of an event."""

    success: bool
    """True: the event is held and will not be lost."""
    event_id: str
    status: Literal["accepted", "duplicate"]
    """duplicate: this event_id was taken before; nothing was changed."""
    stored_in: Literal["redis", "spool"]
    late: bool
    """It is older than the newest event known of the person, and was put in its place."""
    future: bool
    """Its timestamp lay in the future and was replaced by now."""


class Follower(Protocol):
    """Somebody who counts events once they are taken in."""

    async def follow(self, event: Event) -> None:
        """Take one event into account; no event comes twice. May raise StoreUnavailable: then it is not counted."""


class Feedback:
    """Takes events in."""

    def __init__(
        self,
        features: FeatureStore,
        event_log: EventLog,
        spool: Spool,
        now_s: Callable[[], float] = time.time,
        followers: Sequence[Follower] = (),
        on_spool_bytes: Callable[[int], None] = lambda size: None,
    ) -> None:
        """`on_spool_bytes` hears once a round how much waits in the spool."""
        self._features = features
        self._log = event_log
        self._spool = spool
        self._now_s = now_s
        self._followers = followers
        self._on_spool_bytes = on_spool_bytes
        self._replayer: Periodic | None = None
        self._refused_for = ""
        """Why the last replay ended early."""
        self._spooled: dict[tuple[str, str], asyncio.Task[bool]] = {}
        """Person and event_id of what waits in the spool, so that a repetition is known for one before the replay."""

    def start(self) -> None:
        """Begin to look after the spool."""
        self._replayer = Periodic("spool-replay", self.replay, REPLAY_INTERVAL_S)

    async def close(self) -> None:
        """Stop looking after the spool; what waits there is replayed by the next start."""
        if self._replayer is not None:
            await self._replayer.close()

    async def accept(self, event: Event) -> Acknowledgement:
        """Take one event in.

        While older events wait in the spool, newer ones queue behind them, so that the log keeps their order.
        Raises: NotStored when neither Redis nor the spool takes it.
        """
        now_s = self._now_s()
        future = event.timestamp_s > now_s + FUTURE_TOLERANCE_S
        if future:
            event = msgspec.structs.replace(event, timestamp_s=int(now_s))
        while True:
            if self._spool.is_empty:
                try:
                    return await self._hand_over(event, future)
                except StoreUnavailable as error:
                    log.debug("an event goes to the spool: %s", error)
            acknowledged = await self._keep_on_disk(event, future)
            if acknowledged is not None:
                return acknowledged

    async def _hand_over(self, event: Event, future: bool) -> Acknowledgement:
        """Give an event to Redis. Raises: StoreUnavailable."""
        appended = await self._append(event)
        if not appended.duplicate:
            await asyncio.gather(
                self._log.append(event.user_id, msgspec.json.encode(event)), self._notify_followers(event)
            )
        late = event.timestamp_s < appended.newest_before_s
        status: Literal["accepted", "duplicate"] = "duplicate" if appended.duplicate else "accepted"
        return Acknowledgement(True, event.event_id, status, "redis", late, future)

    async def _keep_on_disk(self, event: Event, future: bool) -> Acknowledgement | None:
        """Spool an event, once; None when a replay has just emptied the spool instead. Raises: NotStored."""
        key = event.user_id, event.event_id
        keeping = self._spooled.get(key)
        status: Literal["accepted", "duplicate"] = "duplicate"
        if keeping is None:
            status = "accepted"
            keeping = asyncio.create_task(self._spool.add(msgspec.json.encode(event)), name="spool-event")
            self._spooled[key] = keeping
        try:
            is_kept = await asyncio.shield(keeping)
        except OSError as error:
            self._spooled.pop(key, None)
            log.error("the spool cannot be written: %s", error)
            raise NotStored from error
        if not is_kept:
            self._spooled.pop(key, None)
            return None
        return Acknowledgement(True, event.event_id, status, "spool", False, future)

    async def _append(self, event: Event) -> Appended:
        watched = WatchEvent(event.movie_id, event.rating, event.timestamp_s)
        return await self._features.append(event.user_id, [watched], idempotency_key=event.event_id)

    async def replay(self) -> None:
        """Give the events of the spool to Redis, as far as it takes them. Raises: OSError, when the disk fails."""
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
            if error.reason != self._refused_for:  # said once: Redis may be there and refuse, for want of memory
                log.warning("events wait in the spool: %s", error)
            self._refused_for = error.reason
            return
        self._refused_for = ""
        log.info("%d events went from the spool to redis", taken)
        if self._spool.is_empty:
            self._spooled.clear()  # from here on the feature store knows them

    async def _apply(self, record: bytes) -> None:
        try:
            event = msgspec.json.decode(record, type=Event)
        except msgspec.DecodeError as error:  # the disk lost it; the others must not wait behind it
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
            log.debug("an event is held, but not counted everywhere: %s", error)
