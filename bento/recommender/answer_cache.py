"""The response cache as the pipeline uses it: sealed answers, jittered expiry, and stale answers served while new ones
are computed.

A value that was cut, altered or written for another question is never served. Nor is an answer that is older than the
person's last event.
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
from bento.recommender.telemetry.limited_warnings import LimitedWarnings
from bento.recommender.telemetry.metrics import Metrics
from bento.stores.envelope import BrokenSeal, expiry_of, seal, unseal
from bento.stores.errors import StoreUnavailable
from bento.stores.interfaces import ResponseCache
from bento.stores.person import PersonState

log = logging.getLogger("marquee.recommender")

TTL_JITTER_RATIO = 0.1
"""Share by which lifetimes vary, so that answers cached together do not expire together."""

RECENT_S = 1.0
RECENT_LIMIT = 256
"""The newest answers are also held in memory: of a thousand equal requests at once, the last ones read Redis before the
answer is stored there, and get the result after it was computed."""


@dataclass(frozen=True, slots=True)
class Lifetimes:
    """How long an answer may be served from the cache."""

    fresh_s: int = 300
    """0 turns the cache off."""
    stale_s: int = 0
    """Seconds after that in which it is still served, while a new one is computed."""


@dataclass(frozen=True, slots=True)
class CachedAnswer:
    """An answer from the cache."""

    body: bytes
    stale: bool
    """A new answer should be computed."""


def answer_key(question: Question, state: PersonState) -> str:
    """Identifies a question together with the state of its person: equal keys have equal answers."""
    return f"{question.owner}\0{question.key}\0{state.version}"


class AnswerCache:
    """Stores and finds the answers of one release."""

    def __init__(
        self,
        store: ResponseCache,
        metrics: Metrics,
        lifetimes: Lifetimes = Lifetimes(),
        now_s: Callable[[], float] = time.time,
        fingerprint: str = "",
    ) -> None:
        """`fingerprint`: of everything beside the question that an answer depends on; other answers are not found."""
        self._fingerprint = fingerprint
        self._answers = store
        self._metrics = metrics
        self._warnings = LimitedWarnings(log)
        self._lifetimes = lifetimes
        self._now_s = now_s
        self._recent: LruCache[str, tuple[float, bytes]] = LruCache(RECENT_LIMIT)
        self._writing = DetachedTasks()

    @property
    def is_on(self) -> bool:
        """Answers are cached at all."""
        return self._lifetimes.fresh_s > 0

    async def read(self, question: Question) -> bytes | None:
        """The sealed answer to a question; None when there is none. Raises: StoreUnavailable."""
        return await self._answers.get(question.owner, self._key(question))

    def open(self, question: Question, state: PersonState, sealed: bytes | None) -> CachedAnswer | None:
        """The answer, if there is one, it is intact, and it was made for the present state of the person."""
        answer, result, now_s = None, "miss", self._now_s()
        recent = self._recent_answer(question, state, now_s)
        if sealed is None:
            if recent is not None:
                answer, result = CachedAnswer(recent, stale=False), "hit"
        else:
            try:
                opened = unseal(sealed, self._key(question), state.version, now_s)
            except BrokenSeal as error:
                self._warnings.warn("a cached answer is computed again", str(error))
                result = "broken"
            else:
                if opened is not None:
                    stale = recent is None and now_s >= expiry_of(sealed) - self._lifetimes.stale_s
                    answer = CachedAnswer(recent or opened, stale)
                    result = "stale" if answer.stale else "hit"
        self._metrics.cache.labels(result).inc()
        self._metrics.observations.cache[result] += 1
        return answer

    def _recent_answer(self, question: Question, state: PersonState, now_s: float) -> bytes | None:
        computed_at_s, body = self._recent.get(answer_key(question, state)) or (-math.inf, None)
        return body if now_s - computed_at_s < RECENT_S else None

    def store_later(self, question: Question, state: PersonState, body: bytes) -> None:
        """Store an answer in the background."""
        if not self.is_on:
            return
        self._recent.put(answer_key(question, state), (self._now_s(), body))
        ttl_s = self._lifetimes.fresh_s * random.uniform(1 - TTL_JITTER_RATIO, 1 + TTL_JITTER_RATIO)
        self._writing.start(self._put(question, state, body, ttl_s + self._lifetimes.stale_s), "cache-answer")

    async def store(self, question: Question, state: PersonState, body: bytes, ttl_s: float) -> None:
        """Store an answer for exactly `ttl_s` seconds. Raises: StoreUnavailable."""
        sealed = seal(body, self._key(question), state.version, self._now_s() + ttl_s)
        await self._answers.put(question.owner, self._key(question), sealed, ttl_s, state.version)

    def _key(self, question: Question) -> str:
        return f"{question.key}:{self._fingerprint}" if self._fingerprint else question.key

    async def close(self) -> None:
        """Wait until all answers are stored."""
        await self._writing.finish()

    async def _put(self, question: Question, state: PersonState, body: bytes, ttl_s: float) -> None:
        try:
            await self.store(question, state, body, ttl_s)
        except StoreUnavailable:
            log.debug("an answer was not cached")  # the circuit breaker has logged it already
