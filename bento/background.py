"""What runs or is remembered beside the requests of one event loop: periodic work, detached tasks, a queue with one
worker, and a bounded cache. Nothing here knows what the work is."""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any, Generic, TypeVar

log = logging.getLogger("marquee")

T = TypeVar("T")
Key = TypeVar("Key")
Value = TypeVar("Value")


class Periodic:
    """Runs work, waits for an interval, and runs it again until it is closed.

    A run that raises is logged, the first of several in a row with its traceback, and the next run follows all the
    same: a full disk or a bug must not end work whose absence would be noticed late.
    """

    def __init__(self, name: str, work: Callable[[], Awaitable[None]], interval_s: float) -> None:
        """The first run begins at once."""
        self._name = name
        self._work = work
        self._interval_s = interval_s
        self._fails = False
        self._woken = asyncio.Event()
        self._task = asyncio.create_task(self._run(), name=name)

    def wake(self) -> None:
        """Begin the next run now, or as soon as the present one ends."""
        self._woken.set()

    async def close(self) -> None:
        """Stop; a run under way is cancelled."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            self._woken.clear()
            try:
                await self._work()
            except Exception:  # of any kind: see the class
                if not self._fails:
                    log.exception("%s failed, and is tried again every %g s", self._name, self._interval_s)
                self._fails = True
            else:
                if self._fails:
                    log.info("%s works again", self._name)
                self._fails = False
            await self._pause()

    async def _pause(self) -> None:
        try:
            async with asyncio.timeout(self._interval_s):
                await self._woken.wait()
        except TimeoutError:
            return


class DetachedTasks:
    """Tasks that no caller waits for. They are referenced until they end, since the event loop alone would not keep
    them alive; an error of one is logged."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()

    def __len__(self) -> int:
        """How many are under way."""
        return len(self._tasks)

    def start(self, work: Coroutine[Any, Any, object], name: str) -> None:
        """Begin a task."""
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._end)

    async def finish(self) -> None:
        """Wait until all that are under way have ended."""
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def cancel(self) -> None:
        """Cancel all that are under way, and wait until they have ended."""
        for task in self._tasks:
            task.cancel()
        await self.finish()

    def _end(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("%s failed", task.get_name(), exc_info=error)


class QueueWorker(Generic[T]):
    """A queue with one task that takes batches off it in order, one batch at a time, as long as there are any."""

    def __init__(
        self,
        name: str,
        work: Callable[[list[T]], Awaitable[None]],
        batch_limit: int | None = None,
        queue_limit: int | None = None,
    ) -> None:
        """`batch_limit`: items per batch, None = all that wait. `queue_limit`: items that may wait, None = any number.

        `work` must not raise: an error ends the task, and what waits stays there until the next `put`.
        """
        self._name = name
        self._work = work
        self._batch_limit = batch_limit
        self._queue_limit = queue_limit
        self._waiting: list[T] = []
        self._turn = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None

    def __len__(self) -> int:
        """How many items wait; those of the batch under way no longer do."""
        return len(self._waiting)

    def put(self, item: T) -> bool:
        """Add an item. False: the queue was full, and its oldest item is dropped."""
        is_full = self._queue_limit is not None and len(self._waiting) >= self._queue_limit
        if is_full:
            del self._waiting[0]
        self._waiting.append(item)
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name=self._name)
        return not is_full

    def take_all(self) -> list[T]:
        """All items that wait, which leave the queue."""
        waiting = self._waiting[:]
        self._waiting.clear()
        return waiting

    @asynccontextmanager
    async def paused(self) -> AsyncIterator[list[T]]:
        """No batch is under way and none begins; gives the items that wait, which may be changed in place."""
        async with self._turn:
            yield self._waiting

    async def close(self) -> None:
        """Wait until nothing waits any more."""
        if self._task is not None:
            await self._task

    async def _run(self) -> None:
        try:
            while self._waiting:
                async with self._turn:
                    batch = self._waiting[: self._batch_limit]
                    del self._waiting[: self._batch_limit]
                    if batch:  # none, where they were taken while the turn was waited for
                        await self._work(batch)
        finally:
            self._task = None


class LruCache(Generic[Key, Value]):
    """The newest values by key: beyond the limit, the one that was not used for the longest time is dropped."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._values: OrderedDict[Key, Value] = OrderedDict()

    def __len__(self) -> int:
        return len(self._values)

    def get(self, key: Key) -> Value | None:
        """The value of a key, which counts as used now; None when there is none."""
        value = self._values.get(key)
        if value is not None:
            self._values.move_to_end(key)
        return value

    def put(self, key: Key, value: Value) -> None:
        """Set the value of a key, which counts as used now."""
        self._values[key] = value
        self._values.move_to_end(key)
        if len(self._values) > self._limit:
            self._values.popitem(last=False)

    def drop(self, key: Key) -> None:
        """Forget a key, where it is known."""
        self._values.pop(key, None)
