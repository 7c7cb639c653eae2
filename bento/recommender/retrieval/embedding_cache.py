"""A cache of user embeddings: they stay the same for requests with other films, filters or weights.

The key is the history itself, so an entry is never stale; the release does not change within a process. After an event
the new history of the person is encoded in the background, so that the next request finds its embedding.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Awaitable, Callable

from bento.background import DetachedTasks, LruCache
from bento.recommender.people.events import Event
from bento.recommender.people.histories import merged
from bento.recommender.retrieval.candidates import Encoded
from bento.release.loading import Release
from bento.stores.errors import StoreUnavailable
from bento.stores.interfaces import FeatureStore
from bento.stores.person import DamagedState
from features.history import HISTORY_LENGTH, WatchHistory

log = logging.getLogger("marquee.recommender")

EMBEDDINGS_LIMIT = 4_096
"""Histories in the cache; some 4 kB each."""

PREFETCH_LIMIT = 8
"""Histories encoded in the background at a time; with more events at once, the next request encodes."""


class EmbeddingCache:
    """Encodes histories, each once while it is in the cache."""

    def __init__(
        self, encode: Callable[[WatchHistory, int | None], Awaitable[Encoded]], limit: int = EMBEDDINGS_LIMIT
    ) -> None:
        self._encode = encode
        self._encoded: LruCache[bytes, Encoded] = LruCache(limit)

    async def encode(self, history: WatchHistory, request_end_ns: int | None = None) -> Encoded:
        """As `Models.encode`. Embeddings with a missing source are not cached."""
        key = _key(history)
        encoded = self._encoded.get(key)
        if encoded is None:
            encoded = await self._encode(history, request_end_ns)
            if not encoded.missing:
                self._encoded.put(key, encoded)
        return encoded


class EmbeddingPrefetch:
    """Encodes the histories of people after each event, before their next request."""

    def __init__(self, release: Release, features: FeatureStore, embeddings: EmbeddingCache) -> None:
        self._release = release
        self._features = features
        self._embeddings = embeddings
        self._encoding = DetachedTasks()

    async def follow(self, event: Event) -> None:
        """Start to encode; the sender of the event does not wait."""
        if len(self._encoding) < PREFETCH_LIMIT:
            self._encoding.start(self._encode(event.user_id), "prefetch-embedding")

    async def close(self) -> None:
        """Wait until all histories are encoded."""
        await self._encoding.finish()

    async def _encode(self, user_id: str) -> None:
        try:
            state = await self._features.read(user_id)
        except (StoreUnavailable, DamagedState) as error:
            log.debug("an embedding is not prefetched: %s", error)
            return
        films = self._release.films
        taste = merged(self._release.people.history_of(user_id), state, films.catalog).taste
        if len(taste.item_rows):
            await self._embeddings.encode(films.as_released(taste))


def _key(history: WatchHistory) -> bytes:
    """A digest of the newest events, which are all that the encoders read."""
    newest = slice(-HISTORY_LENGTH, None)
    digest = hashlib.blake2b(history.item_rows[newest].tobytes(), digest_size=16)
    digest.update(history.ratings[newest].tobytes())
    digest.update(history.timestamps_s[newest].tobytes())
    return digest.digest()
