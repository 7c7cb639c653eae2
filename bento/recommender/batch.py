"""Recommendations for many people at once.

Each person passes the same pipeline as a single request. Some dozens pass it at a time, so that the dynamic batcher
joins their rows in every model, and a large batch neither fills the queues nor delays other requests.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar

import msgspec

from bento.http.errors import HttpError
from bento.http.reading import decode
from bento.recommender.experiments import Experiments
from bento.recommender.pipeline import Pipeline
from bento.recommender.questions import Question, question_of
from bento.recommender.schemas import History, RecommendRequest, UserId
from bento.release.loading import Release

AT_A_TIME = 64
"""People of all batches at the same time: the largest batch size of the models."""

TRIES = 3
"""How often an answer is computed until no source is missing, as it is served for a day."""

T = TypeVar("T")


class _Films(msgspec.Struct):
    recommendations: msgspec.Raw
    reason: str | None


class _Person(msgspec.Struct):
    user_id: UserId
    history: History | None


@dataclass(frozen=True, slots=True)
class BatchAnswer:
    """The results and errors of a batch, by person."""

    results: dict[str, msgspec.Raw]
    """Person -> their films, as JSON."""
    failures: dict[str, str]
    """Person -> the error message, where there is no answer."""
    reasons: dict[str, str]
    """Person -> why there are fewer films than requested, where that is so."""
    degraded: list[str]
    """Parts that were missing in at least one answer."""


class Batch:
    """Recommends to many people through the pipeline."""

    def __init__(self, pipeline: Pipeline, release: Release, experiments: Experiments | None = None) -> None:
        self._pipeline = pipeline
        self._experiments = experiments or Experiments()
        self._release = release
        self._seats = asyncio.Semaphore(AT_A_TIME)

    async def recommend(self, histories: Mapping[str, msgspec.Raw], top_k: int) -> BatchAnswer:
        """Films for each person; an invalid history fails only its own person."""
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
        """Cache an answer for each person; returns person -> error message, where that failed.

        It answers a request of that person for top_k films without other options, until their next event. A person who
        was erased after `asked_at_s`, Unix seconds, gets none.
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
        """Call `ask` for each person: the results, and the messages of those that failed."""
        results: dict[str, T] = {}
        failures: dict[str, str] = {}

        async def seated(user_id: str, history: msgspec.Raw) -> None:
            async with self._seats:
                try:
                    results[user_id] = await ask(user_id, history)
                except HttpError as error:
                    failures[user_id] = str(error)

        try:
            async with asyncio.TaskGroup() as group:
                for user_id, history in histories.items():
                    group.create_task(seated(user_id, history))
        except ExceptionGroup as errors:
            raise errors.exceptions[0] from None  # callers handle a single error
        return {user_id: results[user_id] for user_id in histories if user_id in results}, failures

    def _question(self, user_id: str, history: msgspec.Raw, top_k: int) -> Question:
        """Raises: InvalidRequest."""
        person = b'{"user_id":' + msgspec.json.encode(user_id) + b',"history":' + bytes(history) + b"}"
        read = decode(person, _Person)
        return self._asked(RecommendRequest(read.user_id, read.history, top_k))

    def _asked(self, request: RecommendRequest) -> Question:
        """The question with the person's experiments applied, as it will be when they ask."""
        return question_of(self._experiments.apply(request)[0], self._release)


class Incomplete(HttpError):
    """A part failed or was late, so the answer is not cached for a day."""

    http_status, code = 503, "incomplete"

    def __init__(self, missing: list[str]) -> None:
        super().__init__(f"answered without {', '.join(missing)} {TRIES} times", missing=missing)
