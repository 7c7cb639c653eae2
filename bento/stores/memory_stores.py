"""The stores in this process's memory: for tests, and for looking at the recommender without Redis.

Nothing is shared between processes and nothing outlives them.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from bento.stores.person import EVENT, EVENTS_LIMIT, STRANGER, Appended, PersonState, WatchEvent


@dataclass
class _Kept:
    sealed: bytes
    expires_at_s: float


class MemoryResponseCache:
    """See `interfaces.ResponseCache`. Expired answers are dropped when they are asked for."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._answers: dict[str, dict[str, _Kept]] = {}

    async def get(self, owner: str, question: str) -> bytes | None:
        answers = self._answers.get(owner, {})
        kept = answers.get(question)
        if kept is not None and kept.expires_at_s <= self._clock():
            del answers[question]
            kept = None
        return None if kept is None else kept.sealed

    async def put(self, owner: str, question: str, sealed: bytes, ttl_s: float) -> None:
        self._answers.setdefault(owner, {})[question] = _Kept(sealed, self._clock() + ttl_s)

    def drop(self, owner: str) -> None:
        """Forget all answers of an owner."""
        self._answers.pop(owner, None)


class MemoryFeatureStore:
    """See `interfaces.FeatureStore`."""

    def __init__(
        self, answers: MemoryResponseCache, now_us: Callable[[], int] = lambda: time.time_ns() // 1_000
    ) -> None:
        self._answers = answers
        self._now_us = now_us
        self._states: dict[str, PersonState] = {}
        self._used_keys: set[tuple[str, str]] = set()

    async def read(self, user_id: str) -> PersonState:
        return self._states.get(user_id, STRANGER)

    async def append(self, user_id: str, events: Sequence[WatchEvent], idempotency_key: str = "") -> Appended:
        state = self._states.get(user_id, STRANGER)
        if idempotency_key:
            if (user_id, idempotency_key) in self._used_keys:
                return Appended(state.version, changed=False, duplicate=True)
            self._used_keys.add((user_id, idempotency_key))
        newest_s = int(state.events["timestamp_s"].max(initial=0))
        kept = {int(event["movie_id"]): WatchEvent(*event.tolist()) for event in state.events}
        changed = False
        for event in events:
            known = kept.get(event.movie_id)
            rating = float(np.float32(event.rating))  # as it is stored
            if known is not None and rating <= 0:
                rating = max(rating, known.rating)
            event = replace(event, rating=rating)
            if known is not None:
                same_time = event.timestamp_s == known.timestamp_s
                if event.timestamp_s < known.timestamp_s or (same_time and rating == known.rating):
                    continue
                del kept[event.movie_id]  # so that the film moves to the end
            kept[event.movie_id] = event
            changed = True
        if not changed:
            return Appended(state.version, changed=False, newest_before_s=newest_s)
        newest = sorted(kept.values(), key=lambda event: event.timestamp_s)[-EVENTS_LIMIT:]
        rows = np.array([(event.movie_id, event.rating, event.timestamp_s) for event in newest], dtype=EVENT)
        version = max(state.version + 1, self._now_us())
        self._states[user_id] = PersonState(version, state.forgotten, rows)
        self._answers.drop(user_id)
        return Appended(version, changed=True, newest_before_s=newest_s)

    async def forget(self, user_id: str) -> None:
        self._states[user_id] = PersonState(version=self._now_us(), forgotten=True)
        self._answers.drop(user_id)


class MemoryEventLog:
    """See `interfaces.EventLog`."""

    def __init__(self, limit: int = 10_000) -> None:
        self._records: deque[tuple[str, bytes]] = deque(maxlen=limit)

    async def append(self, user_id: str, record: bytes) -> None:
        self._records.append((user_id, record))

    async def read(self, count: int) -> list[bytes]:
        return [record for _, record in self._records][-count:]

    async def forget(self, user_id: str) -> int:
        kept = [entry for entry in self._records if entry[0] != user_id]
        deleted = len(self._records) - len(kept)
        self._records = deque(kept, maxlen=self._records.maxlen)
        return deleted
