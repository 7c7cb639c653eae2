"""The response cache as the pipeline sees it: sealed, jittered, and for a while served stale while it is computed anew.

A value that was cut, altered or written for another question is never served; nor is one that was made before the
person's last event, however fresh it is.
"""

from __future__ import annotations

import logging
import math
import random
import time
from collections.abc import Callable
from dataclasses import dataclass

from bento.background import DetachedTasks, LruCache
from bento.recommender.questions import Question
from bento.recommender.telemetry.metrics import Metrics
from bento.recommender.telemetry.repeated_warnings import RepeatedWarnings
from bento.stores.envelope import BrokenSeal, expiry_of, seal, unseal
from bento.stores.errors import StoreUnavailable
from bento.stores.interfaces import ResponseCache
from bento.stores.person import PersonState

log = logging.getLogger("marquee.recommender")

TTL_JITTER_RATIO = 0.1
"""Answers that were cached together do not expire together."""

JUST_MADE_S = 1.0
JUST_MADE_LIMIT = 256
"""Answers just made here are at hand for who looked into Redis a moment before they were there: of a thousand requests
at once the look-ups of the last come back after the first answer was made."""


@dataclass(frozen=True, slots=True)
class Lifetimes:
    """How long an answer lives in the cache."""

    fresh_s: int = 300
    """0 turns the cache off."""
    stale_s: int = 0
    """Seconds beyond, in which it is still served while somebody computes it anew."""


@dataclass(frozen=True, slots=True)
class Kept:
    """An answer from the cache."""

    body: bytes
    stale: bool
    """It should be computed anew."""


def occasion(question: Question, state: PersonState) -> str:
    """Names a question to a person in their present state: its answer is the same for all who ask."""
    return f"{question.owner}\0{question.key}\0{state.version}"


class AnswerCache:
    """Keeps answers of one release."""

    def __init__(
        self,
        store: ResponseCache,
        metrics: Metrics,
        lifetimes: Lifetimes = Lifetimes(),
        now_s: Callable[[], float] = time.time,
        made_with: str = "",
    ) -> None:
        """`made_with`: what beside its question an answer depends on; answers made with anything else are not seen."""
        self._made_with = made_with
        self._store = store
        self._metrics = metrics
        self._warnings = RepeatedWarnings(log)
        self._lifetimes = lifetimes
        self._now_s = now_s
        self._just_made: LruCache[str, tuple[float, bytes]] = LruCache(JUST_MADE_LIMIT)
        self._writing = DetachedTasks()

    @property
    def is_on(self) -> bool:
        """Answers are kept at all."""
        return self._lifetimes.fresh_s > 0

    async def read(self, question: Question) -> bytes | None:
        """What is kept under a question, still sealed. Raises: StoreUnavailable."""
        return await self._store.get(question.owner, self._key(question))

    def open(self, question: Question, state: PersonState, sealed: bytes | None) -> Kept | None:
        """The answer, when there is one, it is whole, and it was made for the person's present state."""
        kept, result, now_s = None, "miss", self._now_s()
        just_made = self._made_just_now(question, state, now_s)
        if sealed is None:
            if just_made is not None:
                kept, result = Kept(just_made, stale=False), "hit"
        else:
            try:
                opened = unseal(sealed, self._key(question), state.version, now_s)
            except BrokenSeal as error:
                self._warnings.warn("a cached answer is computed again", str(error))
                result = "broken"
            else:
                if opened is not None:
                    stale = just_made is None and now_s >= expiry_of(sealed) - self._lifetimes.stale_s
                    kept = Kept(just_made or opened, stale)
                    result = "stale" if kept.stale else "hit"
        self._metrics.cache.labels(result).inc()
        self._metrics.observations.cache[result] += 1
        return kept

    def _made_just_now(self, question: Question, state: PersonState, now_s: float) -> bytes | None:
        made_at_s, body = self._just_made.get(occasion(question, state)) or (-math.inf, None)
        return body if now_s - made_at_s < JUST_MADE_S else None

    def remember(self, question: Question, state: PersonState, body: bytes) -> None:
        """Keep an answer, without making anybody wait for it."""
        if not self.is_on:
            return
        self._just_made.put(occasion(question, state), (self._now_s(), body))
        ttl_s = self._lifetimes.fresh_s * random.uniform(1 - TTL_JITTER_RATIO, 1 + TTL_JITTER_RATIO)
        self._writing.start(self._put(question, state, body, ttl_s + self._lifetimes.stale_s), "cache-answer")

    async def keep(self, question: Question, state: PersonState, body: bytes, ttl_s: float) -> None:
        """Keep an answer for exactly so long. Raises: StoreUnavailable."""
        sealed = seal(body, self._key(question), state.version, self._now_s() + ttl_s)
        await self._store.put(question.owner, self._key(question), sealed, ttl_s, state.version)

    def _key(self, question: Question) -> str:
        return f"{question.key}:{self._made_with}" if self._made_with else question.key

    async def close(self) -> None:
        """Wait until what is to be remembered is."""
        await self._writing.finish()

    async def _put(self, question: Question, state: PersonState, body: bytes, ttl_s: float) -> None:
        try:
            await self.keep(question, state, body, ttl_s)
        except StoreUnavailable:
            log.debug("an answer was not cached")  # the breaker has said so once already
