"""`POST /batch/recommend` answers many people at once; `POST /batch/recommend/cache` prepares answers for a day."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from typing import Annotated, Literal
from urllib.parse import quote

import msgspec
from msgspec import Meta, Struct
from starlette.requests import Request
from starlette.responses import Response

from bento.http.reading import decode
from bento.http.request_ids import RequestIds
from bento.http.responses import JsonResponse
from bento.http.routing import About, Route
from bento.recommender.batch import Batch
from bento.recommender.errors import NotStored, UnknownJob
from bento.recommender.precompute import ANSWER_TTL_S, Failure, JobParameters, Precompute, chunks_of
from bento.recommender.recommendations import reason_header, release_headers
from bento.recommender.schemas import History, RecommendedFilm
from bento.release.loading import Release
from bento.stores.errors import StoreUnavailable
from bento.stores.precompute_jobs import Job, PrecomputeJobs

PEOPLE_LIMIT = 1_000
"""People per answer: some seconds of waiting."""

PRECOMPUTE_LIMIT = 100_000
"""People per job."""

TOP_K_LIMIT = 100

REASONS_LENGTH = 2_000
"""Characters of reasons in one header: proxies refuse headers of more than some 8 KB."""

BatchTopK = Annotated[int, Meta(ge=1, le=TOP_K_LIMIT, description="How many films for each person.")]
WHO = "Person -> their films as in `history` of /recommend; null = what is known of them. At most {:,} people."


class ManyPeople(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What every request for the lists of many people can say."""

    top_k: BatchTopK = 10


class BatchRequest(ManyPeople, frozen=True, kw_only=True):
    """`POST /batch/recommend`."""

    user_histories: Annotated[dict[str, msgspec.Raw], Meta(max_length=PEOPLE_LIMIT)]
    """A person whose entry cannot be used fails alone, so entries are read one by one."""


class PrecomputeRequest(ManyPeople, frozen=True, kw_only=True):
    """`POST /batch/recommend/cache`."""

    user_histories: Annotated[dict[str, msgspec.Raw], Meta(max_length=PRECOMPUTE_LIMIT)]


class BatchBody(ManyPeople, frozen=True, kw_only=True):
    """`POST /batch/recommend` as it is documented."""

    user_histories: Annotated[
        dict[str, History | None], Meta(max_length=PEOPLE_LIMIT, description=WHO.format(PEOPLE_LIMIT))
    ]


class PrecomputeBody(ManyPeople, frozen=True, kw_only=True):
    """`POST /batch/recommend/cache` as it is documented."""

    user_histories: Annotated[
        dict[str, History | None], Meta(max_length=PRECOMPUTE_LIMIT, description=WHO.format(PRECOMPUTE_LIMIT))
    ]


class BatchResults(Struct, frozen=True):
    """Answer of `POST /batch/recommend`."""

    results: dict[str, list[RecommendedFilm]]
    total_users: int
    success_count: int
    failed_users: list[str]
    """People whose entry cannot be used; the header X-Marquee-First-Failure says why for the first."""


class _Results(Struct, frozen=True):
    """`BatchResults` with films that are JSON already."""

    results: dict[str, msgspec.Raw]
    total_users: int
    success_count: int
    failed_users: list[str]


class Progress(Struct, frozen=True):
    """How far a precompute job is: answer of `POST /batch/recommend/cache` and of its `progress_url`."""

    job_id: str
    status: Literal["waiting", "running", "done"]
    """waiting: nobody works on it at the moment; it is resumed as soon as somebody can."""
    total_users: int
    done_users: int
    success_count: int
    failed_users: list[str]
    """At most 1,000 of them."""
    failures: list[Failure]
    """The same with reasons."""
    top_k: int
    ttl_s: int
    """How long an answer is kept from the moment it is computed."""
    created_at: float
    """Unix seconds."""
    finished_at: float | None
    progress_url: str


EXAMPLE = {"user_histories": {"123": ["1", "50"], "1": None}, "top_k": 5}
ABOUT_BATCH = About(
    f"Recommend films to up to {PEOPLE_LIMIT:,} people at once",
    "batch",
    request=BatchBody,
    answer=BatchResults,
    errors=(400, 413, 422),
    headers=("X-Request-Id",),
    example=EXAMPLE,
)
ABOUT_CACHE = About(
    "Prepare answers for a day, in the background; the answer says where to look how far it is",
    "batch",
    request=PrecomputeBody,
    answer=Progress,
    status=202,
    errors=(400, 413, 422, 503),
    headers=("X-Request-Id",),
    example=EXAMPLE,
)
ABOUT_PROGRESS = About("How far a precompute job is", "batch", answer=Progress, errors=(404, 503))


class BatchRoutes:
    """Many people at once."""

    def __init__(
        self,
        batch: Batch,
        jobs: PrecomputeJobs,
        precompute: Precompute,
        ids: RequestIds,
        release: Release,
        max_body_bytes: int,
        root_path: str = "",
        now_s: Callable[[], float] = time.time,
    ) -> None:
        """`root_path`: the prefix of links to jobs."""
        self._batch = batch
        self._jobs = jobs
        self._precompute = precompute
        self._ids = ids
        self._release = release
        self._max_body_bytes = max_body_bytes
        self._root_path = root_path
        self._now_s = now_s

    def routes(self) -> list[Route]:
        """All of them."""
        return [
            Route("POST", "/batch/recommend", self.recommend, ABOUT_BATCH, self._max_body_bytes),
            Route("POST", "/batch/recommend/cache", self.cache, ABOUT_CACHE, self._max_body_bytes),
            Route("GET", "/batch/recommend/cache/{job_id}", self.progress, ABOUT_PROGRESS),
        ]

    async def recommend(self, request: Request) -> Response:
        """Films for everybody in the request."""
        asked = decode(await request.body(), BatchRequest)
        headers = release_headers(self._release, self._ids.of(request) or self._ids.new())
        answer = await self._batch.recommend(asked.user_histories, asked.top_k)
        body = _Results(answer.results, len(asked.user_histories), len(answer.results), list(answer.failures))
        reason = reason_header(_by_person(answer.reasons))
        headers |= {"x-marquee-degraded": ",".join(answer.degraded)} | reason
        for user_id, message in answer.failures.items():
            headers["x-marquee-first-failure"] = _header_text(f"{user_id}: {message}")
            break
        return JsonResponse(body, headers=headers)

    async def cache(self, request: Request) -> Response:
        """Put a job; it is held by Redis when this answers, and survives a restart."""
        asked = decode(await request.body(), PrecomputeRequest)
        headers = release_headers(self._release, self._ids.of(request) or self._ids.new())
        job_id, about = secrets.token_hex(8), msgspec.json.encode(JobParameters(asked.top_k))
        people = asked.user_histories
        try:
            await self._jobs.put(job_id, about, list(chunks_of(people)), len(people), self._now_s())
            progress = await self._look_up(job_id)
        except StoreUnavailable as error:
            raise NotStored("the job could not be kept, as Redis does not answer; send it again") from error
        self._precompute.wake()
        return JsonResponse(progress, 202, headers | {"location": progress.progress_url})

    async def progress(self, request: Request) -> Response:
        """How far a job is."""
        try:
            progress = await self._look_up(request.path_params["job_id"])
        except StoreUnavailable as error:
            raise NotStored("Redis, which knows how far the job is, does not answer; ask again") from error
        headers = release_headers(self._release, self._ids.of(request) or self._ids.new())
        return JsonResponse(progress, headers=headers)

    async def _look_up(self, job_id: str) -> Progress:
        """Raises: UnknownJob, StoreUnavailable."""
        job = await self._jobs.read(job_id)
        if job is None:
            raise UnknownJob(job_id)
        failures = [msgspec.json.decode(failed, type=Failure) for failed in await self._jobs.failures(job_id)]
        return Progress(
            job_id,
            _status(job),
            job.total,
            job.done,
            job.done - job.n_failed,
            [failure.user_id for failure in failures],
            failures,
            msgspec.json.decode(job.about, type=JobParameters).top_k,
            ANSWER_TTL_S,
            job.created_at_s,
            job.finished_at_s,
            f"{self._root_path}/batch/recommend/cache/{job_id}",
        )


def _status(job: Job) -> Literal["waiting", "running", "done"]:
    if job.finished_at_s is not None:
        return "done"
    return "running" if job.is_held else "waiting"


def _by_person(reasons: dict[str, str]) -> str:
    """`123: why; 7: why; and 12 more`: as many people as a header has room for, their ids as in a URL."""
    told: list[str] = []
    room = REASONS_LENGTH
    for user_id, reason in reasons.items():
        one = f"{quote(user_id, safe='')}: {reason}"
        room -= len(one) + len("; ")
        if room < 0:
            return "; ".join([*told, f"and {len(reasons) - len(told)} more"])
        told.append(one)
    return "; ".join(told)


def _header_text(text: str) -> str:
    """Text as a header may carry it: printable ASCII, a line's length."""
    return "".join(letter if " " <= letter <= "~" else "?" for letter in text)[:200]
