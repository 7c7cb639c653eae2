"""Recommendations for many people at once.

Each person walks the same pipeline as a single request. Some dozens walk at a time, so the dynamic batcher joins
their rows in every model, and a large batch neither floods the queues nor starves the requests beside it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar

import msgspec

from bento.recommender.errors import RecommenderError
from bento.recommender.experiments import Experiments
from bento.recommender.pipeline import Pipeline
from bento.recommender.questions import Question, question_of
from bento.recommender.schemas import History, RecommendRequest, UserId, decode
from bento.release.loading import Release

AT_A_TIME = 64
"""People of all batches who are under way: the largest batch of the models."""

TRIES = 3
"""A precomputed answer lasts a day: one that a late source is missing from is tried again."""

T = TypeVar("T")


class _Films(msgspec.Struct):
    recommendations: msgspec.Raw
    reason: str | None


class _Person(msgspec.Struct):
    user_id: UserId
    history: History | None


@dataclass(frozen=True, slots=True)
class BatchAnswer:
    """What became of each person of a batch."""

    results: dict[str, msgspec.Raw]
    """Person -> their films, as JSON."""
    failures: dict[str, str]
    """Person -> why there is no answer."""
    reasons: dict[str, str]
    """Person -> why there are fewer films than asked for, where there are."""
    degraded: list[str]
    """Parts that at least one answer was made without."""


class Batch:
    """Asks the pipeline for many people."""

    def __init__(self, pipeline: Pipeline, release: Release, experiments: Experiments | None = None) -> None:
        self._pipeline = pipeline
        self._experiments = experiments or Experiments()
        self._release = release
        self._seats = asyncio.Semaphore(AT_A_TIME)

    async def recommend(self, histories: Mapping[str, msgspec.Raw], top_k: int) -> BatchAnswer:
        """Films for everybody; a person whose entry cannot be used fails alone."""
        degraded: dict[str, None] = {}

        async def one(user_id: str, history: msgspec.Raw) -> _Films:
            answer = await self._pipeline.recommend(self._question(user_id, history, top_k))
            degraded.update(dict.fromkeys(answer.degraded))
            return msgspec.json.decode(answer.body, type=_Films)

        made, failures = await self._each(histories, one)
        results = {user_id: films.recommendations for user_id, films in made.items()}
        reasons = {user_id: films.reason for user_id, films in made.items() if films.reason is not None}
        return BatchAnswer(results, failures, reasons, list(degraded))

    async def precompute(
        self, histories: Mapping[str, msgspec.Raw], top_k: int, ttl_s: float, asked_at_s: float = 0.0
    ) -> dict[str, str]:
        """Keep an answer for everybody; returns person -> why it could not be kept.

        It is the answer to the plain question of that person for top_k films, until they do something new. Who was
        forgotten after `asked_at_s`, Unix seconds, gets none.
        Raises: StoreUnavailable.
        """

        async def one(user_id: str, history: msgspec.Raw) -> None:
            question = self._question(user_id, history, top_k)
            plain = self._asked(RecommendRequest(user_id, top_k=top_k))
            for _ in range(TRIES):
                missing = await self._pipeline.precompute(question, plain, ttl_s, asked_at_s)
                if not missing:
                    return
            raise Incomplete(missing)

        return (await self._each(histories, one))[1]

    async def _each(
        self, histories: Mapping[str, msgspec.Raw], ask: Callable[[str, msgspec.Raw], Awaitable[T]]
    ) -> tuple[dict[str, T], dict[str, str]]:
        """Ask for every person; what came back, and the messages of those for whom it cannot be used."""
        results: dict[str, T] = {}
        failures: dict[str, str] = {}

        async def seated(user_id: str, history: msgspec.Raw) -> None:
            async with self._seats:
                try:
                    results[user_id] = await ask(user_id, history)
                except RecommenderError as error:
                    failures[user_id] = str(error)

        try:
            async with asyncio.TaskGroup() as group:
                for user_id, history in histories.items():
                    group.create_task(seated(user_id, history))
        except ExceptionGroup as errors:
            raise errors.exceptions[0] from None  # one is enough to stop at, and what callers can name
        return {user_id: results[user_id] for user_id in histories if user_id in results}, failures

    def _question(self, user_id: str, history: msgspec.Raw, top_k: int) -> Question:
        """Raises: InvalidRequest."""
        person = b'{"user_id":' + msgspec.json.encode(user_id) + b',"history":' + bytes(history) + b"}"
        read = decode(person, _Person)
        return self._asked(RecommendRequest(read.user_id, read.history, top_k))

    def _asked(self, request: RecommendRequest) -> Question:
        """As the person's arms change it, or what is kept would not be what they are served."""
        return question_of(self._experiments.apply(request)[0], self._release)


class Incomplete(RecommenderError):
    """A part failed or was late, so the answer is not kept for a day."""

    http_status, code = 503, "incomplete"

    def __init__(self, missing: list[str]) -> None:
        super().__init__(f"answered without {', '.join(missing)} {TRIES} times", missing=missing)
