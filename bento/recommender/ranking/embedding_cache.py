"""User embeddings, remembered: who asks again for other films, filters or weights has not changed.

The key is the history itself, so nothing can be stale; the release never changes within a process. After an event the
person's new history is encoded in the background, so that the next answer finds it done: the online user embedding.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Awaitable, Callable

from bento.background import DetachedTasks, LruCache
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
        self._encoded: LruCache[bytes, Encoded] = LruCache(limit)

    async def encode(self, history: WatchHistory, request_end_ns: int | None = None) -> Encoded:
        """As `Models.encode`. What was made without all sources is not remembered."""
        key = _key(history)
        encoded = self._encoded.get(key)
        if encoded is None:
            encoded = await self._encode(history, request_end_ns)
            if not encoded.missing:
                self._encoded.put(key, encoded)
        return encoded


class AheadOfTime:
    """Encodes the histories of people who just did something."""

    def __init__(self, release: Release, features: FeatureStore, embeddings: EmbeddingCache) -> None:
        self._release = release
        self._features = features
        self._embeddings = embeddings
        self._encoding = DetachedTasks()

    async def follow(self, event: Event) -> None:
        """Begin to encode; whoever sent the event does not wait."""
        if len(self._encoding) < AHEAD_LIMIT:
            self._encoding.start(self._encode(event.user_id), "encode-ahead")

    async def close(self) -> None:
        """Wait for what is under way."""
        await self._encoding.finish()

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
