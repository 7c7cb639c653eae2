"""The stores in the memory of the test's process. They pass the same tests as those on Redis."""

from __future__ import annotations

import time
from collections import defaultdict, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from bento.stores.film_records import FIRST_NEW_ID, CatalogueState, FilmChange, FilmChanges, FilmRecord, FilmVectors
from bento.stores.impressions import LISTS_PER_PERSON_LIMIT, STREAM_LIMIT, Counts, Impression
from bento.stores.person import EVENT, EVENTS_LIMIT, NO_STATE, Appended, PersonState, WatchEvent
from bento.stores.popularity import growth
from features.ids import Id, key_of


@dataclass
class Entry:
    """A sealed answer and when it expires."""

    sealed: bytes
    expires_at_s: float


class MemoryResponseCache:
    """See `interfaces.ResponseCache`. Expired answers are dropped when they are asked for."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self.entries: dict[str, dict[str, Entry]] = {}
        """Owner -> question -> its sealed answer."""
        self._versions: dict[str, int] = {}

    async def get(self, owner: str, question: str) -> bytes | None:
        answers = self.entries.get(owner, {})
        kept = answers.get(question)
        if kept is not None and kept.expires_at_s <= self._clock():
            del answers[question]
            kept = None
        return None if kept is None else kept.sealed

    async def put(self, owner: str, question: str, sealed: bytes, ttl_s: float, version: int | None = None) -> None:
        if version is not None and version != self._versions.get(owner, 0):
            return
        self.entries.setdefault(owner, {})[question] = Entry(sealed, self._clock() + ttl_s)

    def drop(self, owner: str, version: int) -> None:
        """Forget all answers of an owner, whose state has this version from now on."""
        self.entries.pop(owner, None)
        self._versions[owner] = version


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
        return self._states.get(user_id, NO_STATE)

    async def append(self, user_id: str, events: Sequence[WatchEvent], idempotency_key: str = "") -> Appended:
        state = self._states.get(user_id, NO_STATE)
        if idempotency_key:
            if (user_id, idempotency_key) in self._used_keys:
                return Appended(state.version, changed=False, duplicate=True)
            self._used_keys.add((user_id, idempotency_key))
        newest_s = int(state.events["timestamp_s"].max(initial=0))
        kept = {int(event["movie_key"]): event.tolist() for event in state.events}
        changed = False
        for event in events:
            key = key_of(event.movie_id)
            rating = float(np.float32(event.rating))  # as it is stored
            if key in kept:
                _, known_rating, known_s = kept[key]
                if rating <= 0:
                    rating = max(rating, known_rating)
                if event.timestamp_s < known_s or (event.timestamp_s == known_s and rating == known_rating):
                    continue
                del kept[key]  # so that the film moves to the end
            kept[key] = (key, rating, event.timestamp_s)
            changed = True
        if not changed:
            return Appended(state.version, changed=False, newest_before_s=newest_s)
        newest = sorted(kept.values(), key=lambda event: event[2])[-EVENTS_LIMIT:]
        rows = np.array(newest, dtype=EVENT)
        version = max(state.version + 1, self._now_us())
        self._states[user_id] = PersonState(version, state.forgotten, rows, state.genres)
        self._answers.drop(user_id, version)
        return Appended(version, changed=True, newest_before_s=newest_s)

    async def choose_genres(self, user_id: str, genres: Sequence[int]) -> None:
        state = self._states.get(user_id, NO_STATE)
        version = max(state.version + 1, self._now_us())
        self._states[user_id] = replace(state, version=version, genres=tuple(sorted(set(genres))))
        self._answers.drop(user_id, version)

    async def forget(self, user_id: str) -> None:
        self._states[user_id] = PersonState(version=self._now_us(), forgotten=True)
        self._answers.drop(user_id, self._states[user_id].version)


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


@dataclass(slots=True)
class PersonImpressions:
    """One person's lists in memory, oldest first."""

    by_id: dict[str, Impression] = field(default_factory=dict)
    clicked: set[str] = field(default_factory=set)


class MemoryImpressionLog:
    """See `interfaces.ImpressionLog`. Lists are kept until there are too many."""

    def __init__(self) -> None:
        self._people: dict[str] = defaultdict(PersonImpressions)
        self._newest: deque[Impression] = deque(maxlen=STREAM_LIMIT)
        self._counts: dict[tuple[str, str], Counts] = defaultdict(Counts)
        self._seen: set[tuple[str, str, str]] = set()

    async def show(self, impressions: list[Impression]) -> None:
        self._newest.extend(impressions)

    async def note(self, served: Sequence[tuple[str, Impression]], keys: Mapping[str, str]) -> None:
        for user_id, impression in served:
            self._note(user_id, impression, keys)

    def _note(self, user_id: str, impression: Impression, keys: Mapping[str, str]) -> None:
        person = self._people[user_id]
        person.by_id[impression.recommendation_id] = impression
        if len(person.by_id) > LISTS_PER_PERSON_LIMIT:
            del person.by_id[next(iter(person.by_id))]
        for experiment, arm in impression.arms.items():
            place = keys[experiment], arm
            new = (*place, user_id) not in self._seen
            self._seen.add((*place, user_id))
            counts = self._counts[place]
            self._counts[place] = replace(counts, lists=counts.lists + 1, people=counts.people + new)

    async def click(self, user_id: str, recommendation_id: str, movie_id: Id, keys: Mapping[str, str]) -> bool:
        person = self._people[user_id]
        impression = person.by_id.get(recommendation_id)
        if impression is None or movie_id not in impression.movie_ids or recommendation_id in person.clicked:
            return False
        person.clicked.add(recommendation_id)
        for experiment, arm in impression.arms.items():
            if experiment in keys:
                counts = self._counts[keys[experiment], arm]
                self._counts[keys[experiment], arm] = replace(counts, clicked_lists=counts.clicked_lists + 1)
        return True

    async def counts(self, key: str, arms: list[str]) -> dict[str, Counts]:
        return {arm: self._counts[key, arm] for arm in arms}

    async def recent(self, count: int) -> list[Impression]:
        return list(reversed(self._newest))[:count]

    async def forget(self, user_id: str) -> None:
        self._people.pop(user_id, None)


class MemoryFilmStore:
    """See `interfaces.FilmStore`."""

    def __init__(self) -> None:
        self._revision = 0
        self._given = 0
        self._changed_at: dict[Id, int] = {}
        self._records: dict[Id, FilmRecord] = {}
        self.vectors: dict[Id, FilmVectors] = {}
        self._posters: dict[Id, bytes] = {}

    async def state(self) -> CatalogueState:
        return CatalogueState("memory" if self._revision else "", self._revision)

    async def changes(self, since: CatalogueState) -> FilmChanges:
        state = await self.state()
        from_start = since.epoch != state.epoch or since.revision > state.revision
        after = -1 if from_start else since.revision
        newest_last = sorted((at, movie_id) for movie_id, at in self._changed_at.items() if at > after)
        return FilmChanges(state, [self._change(movie_id) for _, movie_id in newest_last], from_start)

    async def put(
        self, record: FilmRecord, vectors: FilmVectors | None, poster: bytes | None, expected: CatalogueState
    ) -> CatalogueState | None:
        if expected != await self.state():
            return None
        self._revision += 1
        self._records[record.movie_id] = record
        self._changed_at[record.movie_id] = self._revision
        if vectors is not None:
            self.vectors[record.movie_id] = vectors
        if not record.poster:
            self._posters.pop(record.movie_id, None)
        elif poster is not None:
            self._posters[record.movie_id] = poster
        return await self.state()

    async def store_vectors(self, movie_id: Id, vectors: FilmVectors) -> None:
        self.vectors[movie_id] = vectors

    async def poster(self, movie_id: Id) -> bytes | None:
        return self._posters.get(movie_id)

    async def new_movie_id(self) -> int:
        self._given += 1
        return FIRST_NEW_ID - 1 + self._given

    def _change(self, movie_id: Id) -> FilmChange:
        record, vectors = self._records[movie_id], self.vectors.get(movie_id)
        return FilmChange(record, vectors if vectors is not None and vectors.made_of == record.digest else None)


class MemoryPopularity:
    """In this process alone."""

    def __init__(self) -> None:
        self._sums: dict[Id, float] = defaultdict(float)

    async def add(self, movie_id: Id, weight: float, at_s: float) -> None:
        self._sums[movie_id] += weight * growth(at_s)

    async def top(self, count: int, now_s: float) -> dict[Id, float]:
        best = sorted(self._sums, key=self._sums.__getitem__, reverse=True)[:count]
        return {movie_id: self._sums[movie_id] / growth(now_s) for movie_id in best}
