"""User embeddings, remembered: who asks again for other films, filters or weights has not changed.

The key is the history itself, so nothing can be stale; the release never changes within a process. After an event the
person's new history is encoded in the background, so that the next answer finds it done: the online user embedding.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections import OrderedDict
from collections.abc import Awaitable, Callable

from bento.recommender.people.events import Event
from bento.recommender.people.histories import merged
from bento.recommender.ranking.candidates import Encoded
from bento.release.loading import Release
from bento.stores.errors import StoreUnavailable
from bento.stores.interfaces import FeatureStore
from bento.stores.person import DamagedState
from features.history import HISTORY_LENGTH, WatchHistory

log = logging.getLogger("marquee.recommender")

EMBEDDINGS_LIMIT = 4_096
"""Histories remembered; some 4 kB each."""

AHEAD_LIMIT = 8
"""Histories encoded ahead at a time; with more events at once the next request encodes."""


class EmbeddingCache:
    """Encodes histories, each once while it is among the newest."""

    def __init__(
        self, encode: Callable[[WatchHistory, int | None], Awaitable[Encoded]], limit: int = EMBEDDINGS_LIMIT
    ) -> None:
        self._encode = encode
        self._limit = limit
        self._kept: OrderedDict[bytes, Encoded] = OrderedDict()

    async def encode(self, history: WatchHistory, request_end_ns: int | None = None) -> Encoded:
        """As `Models.encode`. What was made without all sources is not remembered."""
        key = _key(history)
        kept = self._kept.get(key)
        if kept is not None:
            self._kept.move_to_end(key)
            return kept
        encoded = await self._encode(history, request_end_ns)
        if not encoded.missing:
            self._kept[key] = encoded
            if len(self._kept) > self._limit:
                self._kept.popitem(last=False)
        return encoded


class AheadOfTime:
    """Encodes the histories of people who just did something."""

    def __init__(self, release: Release, features: FeatureStore, embeddings: EmbeddingCache) -> None:
        self._release = release
        self._features = features
        self._embeddings = embeddings
        self._under_way: set[asyncio.Task[None]] = set()

    async def follow(self, event: Event) -> None:
        """Begin to encode; whoever sent the event does not wait."""
        if len(self._under_way) >= AHEAD_LIMIT:
            return
        task = asyncio.create_task(self._encode(event.user_id), name="encode-ahead")
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)

    async def close(self) -> None:
        """Wait for what is under way."""
        await asyncio.gather(*self._under_way, return_exceptions=True)

    async def _encode(self, user_id: str) -> None:
        try:
            state = await self._features.read(user_id)
        except (StoreUnavailable, DamagedState) as error:
            log.debug("nothing is encoded ahead: %s", error)
            return
        films = self._release.films
        taste = merged(self._release.people.history_of(user_id), state, films.catalog).taste
        if len(taste.item_rows):
            await self._embeddings.encode(films.as_released(taste))


def _key(history: WatchHistory) -> bytes:
    """A digest of what the encoders see: the newest events."""
    newest = slice(-HISTORY_LENGTH, None)
    digest = hashlib.blake2b(history.item_rows[newest].tobytes(), digest_size=16)
    digest.update(history.ratings[newest].tobytes())
    digest.update(history.timestamps_s[newest].tobytes())
    return digest.digest()
