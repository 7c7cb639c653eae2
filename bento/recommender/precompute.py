"""The worker for precompute jobs: in the background, chunk by chunk, as long as the service runs."""

from __future__ import annotations

import asyncio
import itertools
import logging
import time
from collections.abc import Callable, Iterator, Mapping

import msgspec

from bento.background import Periodic
from bento.recommender.batch import Batch
from bento.stores.errors import StoreUnavailable
from bento.stores.precompute_jobs import Job, PrecomputeJobs

log = logging.getLogger("marquee.precompute")

ANSWER_TTL_S = 86_400
"""A precomputed answer is served for a day."""

CHUNK_PEOPLE = 128
"""People per chunk: after a crash, the next worker computes at most one chunk again."""

LEASE_MS = 30_000
"""A worker that does not finish a chunk in this time counts as dead."""

LOOK_INTERVAL_S = 2.0
"""How often Redis is asked for jobs that another process has left."""


class JobParameters(msgspec.Struct, frozen=True):
    """The parameters of a job."""

    top_k: int


class Failure(msgspec.Struct, frozen=True):
    """A person without a precomputed answer."""

    user_id: str
    message: str


def chunks_of(histories: Mapping[str, msgspec.Raw]) -> Iterator[bytes]:
    """The people of a job in chunks, as JSON."""
    people = iter(histories.items())
    while chunk := dict(itertools.islice(people, CHUNK_PEOPLE)):
        yield msgspec.json.encode(chunk)


class Precompute:
    """The worker of one process."""

    def __init__(self, batch: Batch, jobs: PrecomputeJobs, worker: str, now_s: Callable[[], float] = time.time) -> None:
        """`worker` must be unique among the processes that share a Redis."""
        self._batch = batch
        self._jobs = jobs
        self._worker = worker
        self._now_s = now_s
        self._looking: Periodic | None = None

    def start(self) -> None:
        """Start to look for jobs."""
        self._looking = Periodic("precompute", self._finish_open_jobs, LOOK_INTERVAL_S)

    async def close(self) -> None:
        """Stop; another worker can continue the job under way."""
        if self._looking is not None:
            await self._looking.close()

    def wake(self) -> None:
        """Look for jobs now: one was added."""
        if self._looking is not None:
            self._looking.wake()

    async def _finish_open_jobs(self) -> None:
        """Work until no job is open. After an error, the job is taken up again when its lease has expired."""
        try:
            while (job := await self._jobs.claim(self._worker, LEASE_MS)) is not None:
                await self._work(job)
        except StoreUnavailable as error:
            log.debug("precomputing waits: %s", error)

    async def _work(self, job: Job) -> None:
        parameters = msgspec.json.decode(job.about, type=JobParameters)
        log.info("precomputing %s from person %d of %d", job.job_id, job.done, job.total)
        try:
            for at in itertools.count(job.next_chunk):
                chunk = await self._jobs.chunk(job.job_id, at)
                if chunk is None:
                    break
                people = msgspec.json.decode(chunk, type=dict[str, msgspec.Raw])
                failed = await self._batch.precompute(people, parameters.top_k, ANSWER_TTL_S, job.created_at_s)
                failures = [msgspec.json.encode(Failure(*pair)) for pair in failed.items()]
                if not await self._jobs.advance(job.job_id, self._worker, LEASE_MS, len(people), failures):
                    log.warning("%s is now held by another worker", job.job_id)
                    return
            await self._jobs.finish(job.job_id, self._worker, self._now_s())
            log.info("precomputed %s", job.job_id)
        except asyncio.CancelledError:
            await self._release(job)
            raise

    async def _release(self, job: Job) -> None:
        try:
            await self._jobs.release(job.job_id, self._worker)
        except StoreUnavailable as error:
            log.debug("the lease will expire: %s", error)
