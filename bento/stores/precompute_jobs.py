"""Precompute jobs and their progress in Redis: after a restart, or in another process, a job continues where it
stopped.

All keys carry the hash tag `{jobs}`, so on a cluster one script may touch them together:
`<prefix>:{jobs}:open` (ids of open jobs, oldest first), `<prefix>:{jobs}:<id>` (a hash: parameters and progress),
`...:<id>:chunks` (the people, in chunks), `...:<id>:failed`, and `...:<id>:lease` (its worker, until it expires).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bento.stores.connection.redis_link import RedisLink

JOB_TTL_S = 7 * 86_400
"""How long a job and its result can be looked up."""

CHUNKS_PER_COMMAND = 16
FAILED_SHOWN = 1_000
"""Failures returned of one job."""

CLAIM = """
for _, id in ipairs(redis.call('LRANGE', KEYS[1], 0, -1)) do
  local job = ARGV[1] .. id
  if redis.call('EXISTS', job) == 0 then
    redis.call('LREM', KEYS[1], 1, id)
  elseif redis.call('SET', job .. ':lease', ARGV[2], 'NX', 'PX', ARGV[3]) then
    return id
  end
end
return false
"""
"""KEYS: open. ARGV: prefix of job keys, worker, lease in ms. The first job without a worker."""

ADVANCE = """
if redis.call('GET', KEYS[3]) ~= ARGV[1] then return 0 end
redis.call('PEXPIRE', KEYS[3], ARGV[2])
redis.call('HINCRBY', KEYS[1], 'chunk', 1)
redis.call('HINCRBY', KEYS[1], 'done', ARGV[3])
for at = 4, #ARGV do redis.call('RPUSH', KEYS[2], ARGV[at]) end
if #ARGV > 3 then redis.call('EXPIRE', KEYS[2], redis.call('TTL', KEYS[1])) end
return 1
"""
"""KEYS: job, failed, lease. ARGV: worker, lease in ms, items done, then each failure. 0 when the lease was lost."""

FINISH = """
if redis.call('GET', KEYS[3]) ~= ARGV[1] then return 0 end
redis.call('HSET', KEYS[1], 'finished', ARGV[2])
redis.call('LREM', KEYS[4], 1, ARGV[3])
redis.call('DEL', KEYS[2], KEYS[3])
return 1
"""
"""KEYS: job, chunks, lease, open. ARGV: worker, Unix seconds, id."""

RELEASE = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0"
"""KEYS: lease. ARGV: worker."""


@dataclass(frozen=True, slots=True)
class Job:
    """A job and its progress."""

    job_id: str
    about: bytes
    """Its parameters, as they were given to `put`."""
    total: int
    """Items of all chunks."""
    done: int
    """Items of the finished chunks, including failed ones."""
    n_failed: int
    next_chunk: int
    created_at_s: float
    finished_at_s: float | None
    is_held: bool
    """A worker holds it."""


class PrecomputeJobs:
    """Jobs of all processes that share a Redis. Every method may raise StoreUnavailable."""

    def __init__(self, link: RedisLink, prefix: str) -> None:
        self._link = link
        self._start = f"{prefix}:{{jobs}}:"
        self._open = f"{self._start}open"

    async def put(self, job_id: str, about: bytes, chunks: Sequence[bytes], total: int, now_s: float) -> None:
        """Add a job. It exists once all of it is stored; a partly stored one expires."""
        job = self._start + job_id
        for at in range(0, len(chunks), CHUNKS_PER_COMMAND):
            await self._link.run("RPUSH", f"{job}:chunks", *chunks[at : at + CHUNKS_PER_COMMAND])
            await self._link.run("EXPIRE", f"{job}:chunks", JOB_TTL_S)
        fields = {"about": about, "total": total, "done": 0, "chunk": 0, "created": now_s}
        await self._link.run("HSET", job, *(word for pair in fields.items() for word in pair))
        await self._link.run("EXPIRE", job, JOB_TTL_S)
        await self._link.run("RPUSH", self._open, job_id)

    async def read(self, job_id: str) -> Job | None:
        """A job; None when there is none of this id."""
        job = self._start + job_id
        flat = await self._link.run("HGETALL", job)
        fields = flat if isinstance(flat, dict) else dict(zip(flat[::2], flat[1::2], strict=True))
        if b"about" not in fields:
            return None
        finished = fields.get(b"finished")
        return Job(
            job_id,
            fields[b"about"],
            int(fields[b"total"]),
            int(fields[b"done"]),
            await self._link.run("LLEN", f"{job}:failed"),
            int(fields[b"chunk"]),
            float(fields[b"created"]),
            None if finished is None else float(finished),
            bool(await self._link.run("EXISTS", f"{job}:lease")),
        )

    async def failures(self, job_id: str) -> list[bytes]:
        """The failures, as the worker wrote them; at most `FAILED_SHOWN`."""
        failed: list[bytes] = await self._link.run("LRANGE", f"{self._start}{job_id}:failed", 0, FAILED_SHOWN - 1)
        return failed

    async def claim(self, worker: str, lease_ms: int) -> Job | None:
        """The oldest open job without a worker, now held by this one; None when there is none."""
        job_id = await self._link.run("EVAL", CLAIM, 1, self._open, self._start, worker, lease_ms)
        return None if job_id is None else await self.read(job_id.decode())

    async def chunk(self, job_id: str, at: int) -> bytes | None:
        """One chunk; None behind the last."""
        piece: bytes | None = await self._link.run("LINDEX", f"{self._start}{job_id}:chunks", at)
        return piece

    async def advance(self, job_id: str, worker: str, lease_ms: int, done: int, failures: Sequence[bytes]) -> bool:
        """Record that the next chunk is done, and extend the lease; False when another worker holds the job by now."""
        job = self._start + job_id
        keys = job, f"{job}:failed", f"{job}:lease"
        return bool(await self._link.run("EVAL", ADVANCE, 3, *keys, worker, lease_ms, done, *failures))

    async def finish(self, job_id: str, worker: str, now_s: float) -> None:
        """Close a job and delete its chunks; the result stays for a while."""
        job = self._start + job_id
        keys = job, f"{job}:chunks", f"{job}:lease", self._open
        await self._link.run("EVAL", FINISH, 4, *keys, worker, now_s, job_id)

    async def release(self, job_id: str, worker: str) -> None:
        """Let another worker continue a job."""
        await self._link.run("EVAL", RELEASE, 1, f"{self._start}{job_id}:lease", worker)
