"""Model instances: one thread each, which takes batches and reports them to the event loop.

The queue is a lock around the batcher. The loop enqueues and wakes an idle instance; a busy instance takes its
next batch itself, without a detour over the loop. Finished batches go back through `Completions`, where
any number of them costs the loop one wake-up.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Protocol

import structlog

from bento.inference.backends.interface import ExecutionTimes, Instance
from bento.inference.core.calls import NullCall, PendingCall
from bento.inference.core.errors import BackendFailed
from bento.inference.scheduling.completions import Completions
from bento.inference.scheduling.dynamic_batcher import Queued
from bento.inference.scheduling.inline_policy import busy_ns

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Execution:
    """A batch that ran. Times are monotonic nanoseconds."""

    calls: Sequence[PendingCall]
    started_ns: int
    times: ExecutionTimes
    ended_ns: int
    busy_ns: int
    """See `inline_policy.busy_ns`."""


class Batcher(Protocol):
    """What decides which queued requests run next: see `DynamicBatcher`."""

    wakes_all: bool
    """A queued request is for one certain instance, so that all of them must look."""

    def __len__(self) -> int: ...
    def enqueue(self, queued: Queued[PendingCall], now_ns: int) -> None: ...
    def take(self, now_ns: int, instance: int = 0) -> Sequence[Queued[PendingCall] | None]: ...
    def next_look_ns(self) -> int | None: ...
    def worth_a_look(self) -> bool: ...
    def cancel(self, queued: Queued[PendingCall]) -> bool: ...
    def expire(self, now_ns: int) -> list[Queued[PendingCall]]: ...
    def take_expired(self) -> list[Queued[PendingCall]]: ...
    def next_expiry_ns(self) -> int | None: ...


class Staging(Protocol):
    """What is done to a batch on the instance's thread, before and after it runs."""

    def stage(self, batch: Sequence[Queued[PendingCall] | None]) -> list[PendingCall | NullCall]:
        """The calls to execute."""

    def keep_states(self, batch: Sequence[Queued[PendingCall] | None]) -> None:
        """Called when they have been executed."""


class InstanceGroup:
    """The queue of one model version and the instances that serve it."""

    def __init__(
        self,
        batcher: Batcher,
        on_executed: Callable[[Execution], None],
        on_expired: Callable[[list[Queued[PendingCall]]], None],
        completions: Completions,
        staging: Staging | None = None,
    ) -> None:
        self.batcher = batcher
        self.staging = staging
        self.lock = threading.Lock()
        """Held around every use of the batcher."""
        self.closing = False
        self.devices: list[str] = []
        """Device of each instance."""
        self._on_executed = on_executed
        self._on_expired = on_expired
        self._completions = completions
        self._reentrant: Instance | None = None
        self._idle: list[_InstanceThread] = []
        self._threads: list[_InstanceThread] = []

    def add_deferred(self, name: str, create: Callable[[], Instance], device: str) -> None:
        """Start a thread that creates an instance, which must not fail, on that device, and waits for nothing."""
        thread = _InstanceThread(self, name, len(self._threads), create)
        self.devices.append(device)
        self._threads.append(thread)
        thread.start()

    async def add(self, name: str, create: Callable[[], Instance]) -> None:
        """Start a thread that creates an instance and runs batches on it. Raises: any exception of `create`."""
        thread = _InstanceThread(self, name, len(self._threads), create)
        thread.start()
        instance = await asyncio.wrap_future(thread.instance)
        self.devices.append(instance.device)
        if instance.is_reentrant:
            self._reentrant = instance
        self._threads.append(thread)

    def idle_instance(self) -> Instance | None:
        """An instance that the caller's own thread may use immediately: the queue is empty and one instance is idle."""
        return self._reentrant if self._idle and not len(self.batcher) else None

    def enqueue(self, queued: Queued[PendingCall], now_ns: int) -> None:
        """Queue a request, and wake an idle instance for it. Raises: QueueIsFull."""
        with self.lock:
            self.batcher.enqueue(queued, now_ns)
            thread = self._idle.pop() if self._idle and self.batcher.worth_a_look() else None
        if thread is not None:
            thread.wake()
            if self.batcher.wakes_all:
                self.wake_all()

    def wake_all(self) -> None:
        """Have every idle instance look at the queue."""
        with self.lock:
            idle, self._idle = self._idle, []
        for thread in idle:
            thread.wake()

    async def close(self) -> None:
        """Stop the threads and close the instances; nothing must be queued any more."""
        with self.lock:
            self.closing = True
        self.wake_all()
        for thread in self._threads:
            await asyncio.to_thread(thread.join)

    def next_batch(self, thread: _InstanceThread) -> tuple[Sequence[Queued[PendingCall] | None], int | None] | None:
        """What the thread runs now, else when it should look again; None when it should end."""
        with self.lock:
            now_ns = time.monotonic_ns()
            batch = self.batcher.take(now_ns, thread.number)
            expired = self.batcher.take_expired()
            next_look_ns = None
            other = None
            if batch:
                if self._idle and len(self.batcher) and self.batcher.worth_a_look():
                    other = self._idle.pop()
            elif self.closing:
                return None
            else:
                next_look_ns = self.batcher.next_look_ns()
                self._idle.append(thread)
        if other is not None:
            other.wake()
        if expired:
            self._completions.post(self._on_expired, expired)
        return batch, next_look_ns

    def stopped_waiting(self, thread: _InstanceThread) -> bool:
        """After a wait that timed out: True when the thread left the idle list by itself, False when it was woken."""
        with self.lock:
            if thread in self._idle:
                self._idle.remove(thread)
                return True
        return False

    def report(self, execution: Execution) -> None:
        """Hand a finished batch to the loop."""
        self._completions.post(self._on_executed, execution)


class _InstanceThread(threading.Thread):
    """Takes batches and runs them, until the group closes."""

    def __init__(self, group: InstanceGroup, name: str, number: int, create: Callable[[], Instance]) -> None:
        super().__init__(name=name, daemon=True)
        self.number = number
        self.instance: Future[Instance] = Future()
        """Known when the instance is ready; holds the exception when it could not be created."""
        self._create = create
        self._group = group
        self._bell = threading.Lock()
        self._bell.acquire()

    def wake(self) -> None:
        """End the thread's wait. Called exactly once for each time that it was taken off the idle list."""
        self._bell.release()

    def run(self) -> None:
        """The life of the instance: created, used and closed by this one thread."""
        try:
            instance = self._create()
        except BaseException as error:  # passed to the waiting caller
            # asyncio takes no StopIteration over into its own futures: the caller would wait for ever
            self.instance.set_exception(RuntimeError(repr(error)) if isinstance(error, StopIteration) else error)
            return
        self.instance.set_result(instance)
        self._serve(instance)
        instance.close()

    def _serve(self, instance: Instance) -> None:
        group = self._group
        while (found := group.next_batch(self)) is not None:
            batch, next_look_ns = found
            if batch:
                self._run_batch(instance, batch)
            elif next_look_ns is None:
                self._bell.acquire()
            else:
                wait_s = max(next_look_ns - time.monotonic_ns(), 0) / 1e9
                if not self._bell.acquire(timeout=wait_s) and not group.stopped_waiting(self):
                    self._bell.acquire()  # woken at the moment the wait ended

    def _run_batch(self, instance: Instance, batch: Sequence[Queued[PendingCall] | None]) -> None:
        calls = [queued.item for queued in batch if queued is not None]
        staging = self._group.staging
        started_ns, computed_ns = time.monotonic_ns(), time.thread_time_ns()
        try:
            if staging is None:
                times = instance.execute(calls)
            else:
                times = instance.execute(staging.stage(batch))
                staging.keep_states(batch)
        except Exception as error:  # no failure may end the instance's thread
            log.exception("backend raised while executing", instance=self.name)
            times = ExecutionTimes(started_ns, time.monotonic_ns())
            for call in calls:
                call.fail(BackendFailed(f"{type(error).__name__}: {error}"))
        ended_ns = time.monotonic_ns()
        took_ns = busy_ns(time.thread_time_ns() - computed_ns, ended_ns - started_ns)
        self._group.report(Execution(calls, started_ns, times, ended_ns, took_ns))
