"""Jobs in a real Redis, single and cluster: nothing is done twice, nothing is left out, whoever dies."""

from __future__ import annotations

import pytest

from bento.stores.precompute_jobs import PrecomputeJobs
from tests.stores.examples import REAL

LONG_MS = 60_000


@pytest.fixture(params=REAL)
def jobs(request: pytest.FixtureRequest) -> PrecomputeJobs:
    return PrecomputeJobs(request.getfixturevalue(request.param), "test")


async def test_a_job_is_claimed_once_and_oldest_first(jobs: PrecomputeJobs) -> None:
    await jobs.put("one", b"about", [b"a", b"b"], 2, now_s=7.5)
    await jobs.put("two", b"", [b"c"], 1, now_s=8)
    claimed = [await jobs.claim(worker, LONG_MS) for worker in ("ann", "bob", "cid")]
    assert [job and job.job_id for job in claimed] == ["one", "two", None]
    assert claimed[0] is not None
    assert (claimed[0].about, claimed[0].total, claimed[0].done, claimed[0].created_at_s) == (b"about", 2, 0, 7.5)
    assert claimed[0].is_held


async def test_a_successor_goes_on_behind_the_last_finished_chunk(jobs: PrecomputeJobs) -> None:
    await jobs.put("one", b"", [b"a", b"b", b"c"], 30, now_s=0)
    assert (await jobs.claim("ann", LONG_MS)) is not None
    assert await jobs.advance("one", "ann", LONG_MS, 10, [b"x", b"y"])
    await jobs.release("one", "ann")
    resumed = await jobs.claim("bob", LONG_MS)
    assert resumed is not None
    assert (resumed.next_chunk, resumed.done, resumed.n_failed) == (1, 10, 2)
    assert await jobs.chunk("one", resumed.next_chunk) == b"b"
    assert await jobs.failures("one") == [b"x", b"y"]


async def test_who_lost_the_lease_changes_nothing_any_more(jobs: PrecomputeJobs) -> None:
    await jobs.put("one", b"", [b"a"], 1, now_s=0)
    assert await jobs.claim("ann", LONG_MS)
    await jobs.release("one", "somebody else")
    assert await jobs.claim("bob", LONG_MS) is None
    assert not await jobs.advance("one", "bob", LONG_MS, 1, [])
    await jobs.finish("one", "bob", 9)
    job = await jobs.read("one")
    assert job is not None
    assert (job.done, job.finished_at_s) == (0, None)


async def test_a_finished_job_can_be_looked_up_but_not_claimed(jobs: PrecomputeJobs) -> None:
    await jobs.put("one", b"", [b"a"], 1, now_s=0)
    assert await jobs.claim("ann", LONG_MS)
    assert await jobs.advance("one", "ann", LONG_MS, 1, [])
    assert await jobs.chunk("one", 1) is None
    await jobs.finish("one", "ann", 9)
    assert await jobs.claim("bob", LONG_MS) is None
    job = await jobs.read("one")
    assert job is not None
    assert (job.done, job.finished_at_s, job.is_held) == (1, 9, False)
    assert await jobs.chunk("one", 0) is None


async def test_nobody_knows_a_job_that_was_never_put(jobs: PrecomputeJobs) -> None:
    assert await jobs.read("none") is None


async def test_more_chunks_than_one_command_takes_come_back_in_order(jobs: PrecomputeJobs) -> None:
    chunks = [str(at).encode() for at in range(40)]
    await jobs.put("one", b"", chunks, 40, now_s=0)
    assert [await jobs.chunk("one", at) for at in range(41)] == [*chunks, None]
