"""The one implementation behind every route that recommends films to a person.

A route decodes its request into a `RecommendRequest`, passes it here, and formats the answer: `body` for native routes,
`read` and `headers` for routes with a fixed format.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import msgspec
import numpy as np
import numpy.typing as npt
from starlette.requests import Request

from bento.http.request_ids import RequestIds
from bento.recommender.experiments import Experiments
from bento.recommender.people.impressions import Impressions
from bento.recommender.pipeline import Answer, Pipeline
from bento.recommender.questions import Question, question_of
from bento.recommender.schemas import AnswerBody, AnswerTail, FilteredRequest, RecommendRequest, join_objects
from bento.release.loading import Release


class _UserField(msgspec.Struct):
    user_id: int | str | None


@dataclass(frozen=True, slots=True)
class Recommended:
    """An answer with the ids and experiments of its request."""

    user_id: int | str | None
    """As the request wrote it."""
    question: Question
    answer: Answer
    release: Release
    request_id: str
    recommendation_id: str
    arms: dict[str, str]
    """Experiment -> the person's arm, for those that this answer takes part in."""

    def body(self, *more: msgspec.Struct) -> bytes:
        """The answer of native routes: the user_id, the part that may be cached, and the part that never is."""
        answer, ids = self.answer, (self.request_id, self.recommendation_id)
        tail = AnswerTail(answer.cached, answer.degraded, answer.timings_ms, *ids, self.arms)
        encode = msgspec.json.encode
        return join_objects(encode(_UserField(self.user_id)), answer.body, encode(tail), *map(encode, more))

    def read(self) -> AnswerBody:
        """The films with their strategy, for routes with another format."""
        return msgspec.json.decode(self.answer.body, type=AnswerBody)

    def headers(self, reason: str | None) -> dict[str, str]:
        """What answers of a fixed shape carry beside their body. `reason`: that of the answer's body."""
        timings = ",".join(f"{stage}={elapsed_ms}" for stage, elapsed_ms in self.answer.timings_ms.items())
        return {
            **release_headers(self.release, self.request_id),
            "x-marquee-recommendation-id": self.recommendation_id,
            "x-marquee-timings-ms": timings,
            "x-marquee-degraded": ",".join(self.answer.degraded),
            "x-marquee-cached": "true" if self.answer.cached else "false",
            **reason_header(reason),
            "x-marquee-experiments": ",".join(f"{name}={arm}" for name, arm in self.arms.items()),
        }


class Recommendations:
    """Recommends to one person through the pipeline."""

    def __init__(
        self,
        pipeline: Pipeline,
        release: Release,
        ids: RequestIds,
        experiments: Experiments | None = None,
        impressions: Impressions | None = None,
    ) -> None:
        """Without `impressions`, served lists are not recorded."""
        self.release = release
        self._experiments = experiments or Experiments()
        self._impressions = impressions
        self._pipeline = pipeline
        self._ids = ids

    async def ask(
        self,
        asked: RecommendRequest | FilteredRequest,
        request: Request,
        allowed_rows: npt.NDArray[np.int64] | None = None,
        degraded: Iterable[str] = (),
        use_cache: bool = True,
    ) -> Recommended:
        """Recommend. `allowed_rows`: the films that pass the request's filters; `degraded`: parts that failed before.

        Raises: InvalidRequest (unknown source, unusable X-Request-Id), UnknownPreset.
        """
        given_id = self._ids.of(request)
        asked, arms = self._experiments.apply(asked)
        question = question_of(asked, self.release, allowed_rows)
        answer = await self._pipeline.recommend(question, use_cache)
        answer.degraded = [*degraded, *answer.degraded]
        new_id = self._ids.new()
        recommendation_id = f"rec-{new_id}"
        if self._impressions is not None:
            self._impressions.note(question.user_id, recommendation_id, answer.body, arms)
        made_ids = given_id or new_id, recommendation_id
        return Recommended(asked.user_id, question, answer, self.release, *made_ids, arms)


def reason_header(reason: str | None) -> dict[str, str]:
    """The header that says why a list is short; empty where it is not."""
    return {"x-marquee-reason": reason or ""}


def release_headers(release: Release, request_id: str) -> dict[str, str]:
    """Which release, with which films, answered which request."""
    return {
        "x-marquee-release": str(release.number),
        "x-marquee-catalogue-revision": str(release.films.revision),
        "x-request-id": request_id,
    }
