"""Background work: what runs periodically, detached or behind a queue, and what a bounded cache remembers."""

from __future__ import annotations

import asyncio
import logging

import pytest

from bento.background import DetachedTasks, LruCache, Periodic, QueueWorker

WAIT_S = 10.0
"""So long that a busy machine never ends a test early."""


async def test_a_periodic_run_that_fails_is_logged_once_and_followed_by_the_next(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, logger="marquee")
    results = iter([None, OSError("the disk is full"), OSError("the disk is full"), None])
    done = asyncio.Event()

    async def work() -> None:
        try:
            result = next(results)
        except StopIteration:
            done.set()
            return
        if result is not None:
            raise result

    periodic = Periodic("spool-replay", work, interval_s=0)
    async with asyncio.timeout(WAIT_S):
        await done.wait()
    await periodic.close()
    assert [record.getMessage() for record in caplog.records] == [
        "spool-replay failed, and is tried again every 0 s",
        "spool-replay works again",
    ]
    assert "the disk is full" in caplog.text


async def test_periodic_work_can_be_closed_in_the_middle_of_a_run() -> None:
    begun, ended = asyncio.Event(), asyncio.Event()

    async def work() -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    periodic = Periodic("endless", work, interval_s=0)
    await begun.wait()
    await periodic.close()
    assert ended.is_set()


async def test_waking_periodic_work_begins_a_run_before_the_interval_is_over() -> None:
    runs: asyncio.Queue[None] = asyncio.Queue()

    async def work() -> None:
        runs.put_nowait(None)

    periodic = Periodic("hourly", work, interval_s=3_600)
    async with asyncio.timeout(WAIT_S):
        await runs.get()
        periodic.wake()
        await runs.get()
    await periodic.close()


async def test_waking_during_a_run_begins_another_one_after_it() -> None:
    begun, go_on = asyncio.Semaphore(0), asyncio.Semaphore(0)

    async def work() -> None:
        begun.release()
        await go_on.acquire()

    periodic = Periodic("hourly", work, interval_s=3_600)
    async with asyncio.timeout(WAIT_S):
        await begun.acquire()
        periodic.wake()
        go_on.release()
        await begun.acquire()
    await periodic.close()


async def test_detached_tasks_are_counted_until_they_end() -> None:
    tasks, gate, results = DetachedTasks(), asyncio.Event(), []

    async def work(number: int) -> None:
        await gate.wait()
        results.append(number)

    for number in (1, 2):
        tasks.start(work(number), f"work-{number}")
    assert len(tasks) == 2
    gate.set()
    await tasks.finish()
    assert (len(tasks), sorted(results)) == (0, [1, 2])


async def test_detached_tasks_can_be_cancelled() -> None:
    tasks, ended = DetachedTasks(), asyncio.Event()

    async def endless() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    tasks.start(endless(), "endless")
    await asyncio.sleep(0)
    await tasks.cancel()
    assert ended.is_set()
    assert len(tasks) == 0


async def test_the_error_of_a_detached_task_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    async def failing() -> None:
        raise OSError("the disk is full")

    tasks = DetachedTasks()
    tasks.start(failing(), "encode-ahead")
    await tasks.finish()
    (record,) = caplog.records
    assert record.getMessage() == "encode-ahead failed"
    assert "the disk is full" in caplog.text


class Batches:
    """What a queue's worker was given; it holds each batch until it may go on."""

    def __init__(self) -> None:
        self.seen: list[list[int]] = []
        self.begun = asyncio.Event()
        self.go_on = asyncio.Event()

    async def work(self, batch: list[int]) -> None:
        self.seen.append(batch)
        self.begun.set()
        await self.go_on.wait()


async def test_what_waits_during_a_batch_is_one_batch_after_it() -> None:
    batches = Batches()
    queue = QueueWorker("numbers", batches.work)
    queue.put(1)
    await batches.begun.wait()
    for number in (2, 3, 4):
        queue.put(number)
    assert len(queue) == 3
    batches.go_on.set()
    await queue.close()
    assert batches.seen == [[1], [2, 3, 4]]


async def test_a_batch_holds_no_more_than_its_limit() -> None:
    batches = Batches()
    batches.go_on.set()
    queue = QueueWorker("numbers", batches.work, batch_limit=2)
    for number in range(5):
        queue.put(number)
    await queue.close()
    assert batches.seen == [[0, 1], [2, 3], [4]]


async def test_a_full_queue_drops_its_oldest_item_and_says_so() -> None:
    batches = Batches()
    batches.go_on.set()
    queue = QueueWorker("numbers", batches.work, queue_limit=2)
    assert [queue.put(number) for number in range(3)] == [True, True, False]
    await queue.close()
    assert batches.seen == [[1, 2]]


async def test_while_a_queue_is_paused_no_batch_begins_and_what_waits_can_be_changed() -> None:
    batches = Batches()
    batches.go_on.set()
    queue = QueueWorker("numbers", batches.work)
    async with queue.paused() as waiting:
        for number in (1, 2, 3):
            queue.put(number)
        await asyncio.sleep(0)
        assert batches.seen == []
        waiting.remove(2)
    await queue.close()
    assert batches.seen == [[1, 3]]


async def test_a_queue_whose_items_were_all_taken_gives_its_worker_nothing() -> None:
    batches = Batches()
    batches.go_on.set()
    queue = QueueWorker("numbers", batches.work)
    async with queue.paused():
        queue.put(1)
        await asyncio.sleep(0)  # the worker waits for its turn
        assert queue.take_all() == [1]
    await queue.close()
    assert batches.seen == []


def test_a_full_cache_drops_what_was_not_used_for_the_longest_time() -> None:
    cache: LruCache[str, int] = LruCache(2)
    cache.put("a", 1)
    cache.put("b", 2)
    assert cache.get("a") == 1  # now b is the oldest
    cache.put("c", 3)
    assert (cache.get("a"), cache.get("b"), cache.get("c"), len(cache)) == (1, None, 3, 2)


def test_a_value_put_again_counts_as_used() -> None:
    cache: LruCache[str, int] = LruCache(2)
    for key, value in (("a", 1), ("b", 2), ("a", 10), ("c", 3)):
        cache.put(key, value)
    assert (cache.get("a"), cache.get("b")) == (10, None)


def test_a_dropped_key_is_forgotten() -> None:
    cache: LruCache[str, int] = LruCache(2)
    cache.put("a", 1)
    cache.drop("a")
    cache.drop("never put")
    assert cache.get("a") is None
