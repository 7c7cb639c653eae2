"""The dynamic batcher: which queued requests run next, together.

A pure data structure: no threads, no sleeping, no clock. The caller passes the time
(`now_ns`, any monotonic nanoseconds) and a lock. Meaning and names are Triton's.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable, Iterator
from dataclasses import dataclass
from enum import Enum
from heapq import heapify, heappop, heappush
from typing import Generic, TypeVar

from bento.inference.scheduling.batching_rules import BatchingRules, QueuePolicy

NS_PER_US = 1_000
Item = TypeVar("Item")


class Standing(Enum):
    """Where a queued request stands."""

    WAITING = "waiting"
    TAKEN = "taken"
    """An instance has it: it runs or has run."""
    EXPIRED = "expired"
    """Its queue timeout or its client's deadline passed; it never runs."""
    CANCELLED = "cancelled"
    """Its client left; it never runs."""


@dataclass(slots=True, eq=False)
class Queued(Generic[Item]):
    """One request in the queue. The fields from `enqueued_ns` on are the batcher's to write."""

    item: Item
    rows: int = 1
    joins_with: Hashable = None
    """Only requests for which this is equal (shapes and types of their tensors) share a batch."""
    priority: int = 0
    timeout_us: int = 0
    """Timeout that the request itself asks for; 0 = none."""
    deadline_ns: int | None = None
    """When its client stops waiting."""
    enqueued_ns: int = 0
    level: int = 0
    expires_ns: int | None = None
    """When its queue timeout passes."""
    delayed: bool = False
    """Expired under the timeout action DELAY: it runs after those that are not."""
    standing: Standing = Standing.WAITING


class QueueIsFull(Exception):
    """The request's priority level holds `max_queue_size` requests."""


class DynamicBatcher(Generic[Item]):
    """Requests in, batches out: by priority, then in order of arrival; requests are joined, never cut."""

    wakes_all = False
    """Whichever instance is free may run what waits."""

    def __init__(self, rules: BatchingRules) -> None:
        self.rules = rules
        self._levels: dict[int, _Level[Item]] = {}  # in order of priority
        self._waiting = 0  # requests
        self._waiting_rows = 0
        self._deaths: list[tuple[int, int, Queued[Item]]] = []  # heap: (time, tie-break, request)
        self._births = 0
        self._expired: list[Queued[Item]] = []
        self._max_delay_ns = rules.max_queue_delay_us * NS_PER_US
        self._largest_preferred = max(rules.preferred_batch_sizes, default=rules.max_batch_size)
        self._next_look_ns: int | None = None
        self._rows_wanted = 0  # by a batch that waits for company

    def __len__(self) -> int:
        """Requests that wait."""
        return self._waiting

    def enqueue(self, queued: Queued[Item], now_ns: int) -> None:
        """Put a request at the end of its priority level's queue.

        Raises: QueueIsFull.
        """
        level = self._level_for(queued.priority)
        policy = level.policy
        if policy.max_queue_size and level.waiting >= policy.max_queue_size:
            raise QueueIsFull
        queued.level = level.number
        queued.enqueued_ns = now_ns
        timeout_us = policy.default_timeout_us
        if policy.allow_timeout_override and 0 < queued.timeout_us < timeout_us:
            timeout_us = queued.timeout_us
        if timeout_us:
            queued.expires_ns = now_ns + timeout_us * NS_PER_US
        death_ns = _death_ns(queued, policy)
        if death_ns is not None:
            self._births += 1
            heappush(self._deaths, (death_ns, self._births, queued))
        if self._next_look_ns is not None and not level.joins_the_last(queued):
            self._rows_wanted = 0
        level.arrived.append(queued)
        level.waiting += 1
        self._waiting += 1
        self._waiting_rows += queued.rows

    def take(self, now_ns: int, instance: int = 0) -> list[Queued[Item]]:
        """The batch that a free instance, whichever, runs now; empty when it should wait until `next_look_ns`.

        Requests that are found expired on the way are set aside for `take_expired`.
        """
        self._next_look_ns = None
        if not self._waiting:
            return []
        looked_at, length = self._look(now_ns)
        batch = looked_at[:length]
        for queued in reversed(looked_at[length:]):
            level = self._levels[queued.level]
            (level.late if queued.delayed else level.arrived).appendleft(queued)
        for queued in batch:
            self._leave(queued, Standing.TAKEN)
        return batch

    def next_look_ns(self) -> int | None:
        """When to call `take` again after it returned nothing; None = when the next request arrives."""
        return self._next_look_ns

    def worth_a_look(self) -> bool:
        """Whether `take` may give a batch before `next_look_ns`, after what has been enqueued since."""
        return self._next_look_ns is None or self._waiting_rows >= self._rows_wanted

    def cancel(self, queued: Queued[Item]) -> bool:
        """Take a request out of the queue; False when it is no longer there."""
        if queued.standing is not Standing.WAITING:
            return False
        self._leave(queued, Standing.CANCELLED)
        self._levels[queued.level].drop_the_gone()
        return True

    def expire(self, now_ns: int) -> list[Queued[Item]]:
        """Take out, and return, every request that must not run any more at this time."""
        while self._deaths and self._deaths[0][0] < now_ns:
            queued = heappop(self._deaths)[2]
            if queued.standing is Standing.WAITING:
                self._give_up(queued)
                self._levels[queued.level].drop_the_gone()
        return self.take_expired()

    def take_expired(self) -> list[Queued[Item]]:
        """Expired requests found since the last call; the caller answers them."""
        expired, self._expired = self._expired, []
        return expired

    def next_expiry_ns(self) -> int | None:
        """Earliest time after which a waiting request must be given up; None when there is none."""
        if len(self._deaths) > 2 * self._waiting + 64:  # most have left: amortised, this costs nothing
            self._deaths = [death for death in self._deaths if death[2].standing is Standing.WAITING]
            heapify(self._deaths)
        while self._deaths and self._deaths[0][2].standing is not Standing.WAITING:
            heappop(self._deaths)
        return self._deaths[0][0] if self._deaths else None

    def _level_for(self, priority: int) -> _Level[Item]:
        rules, number = self.rules, 0
        if rules.priority_levels:
            number = priority if 0 < priority <= rules.priority_levels else rules.default_priority_level
        level = self._levels.get(number)
        if level is None:
            level = _Level(number, rules.policies.get(number, rules.default_policy))
            self._levels = dict(sorted([*self._levels.items(), (number, level)]))
        return level

    def _look(self, now_ns: int) -> tuple[list[Queued[Item]], int]:
        """Requests taken off the queue, and how many of them run now; the rest goes back.

        Triton's rule: grow while shapes agree and rows fit, up to the best preferred size;
        a batch that could still grow waits out the queue delay.
        """
        rules = self.rules
        batch: list[Queued[Item]] = []
        rows = 0
        preferred_length = 0
        stranger: list[Queued[Item]] = []  # the first request that cannot join
        for queued in self._runnable(now_ns):
            if batch:
                if rows + queued.rows > self._largest_preferred and not preferred_length:
                    preferred_length = len(batch)
                if rows + queued.rows > rules.max_batch_size or queued.joins_with != batch[0].joins_with:
                    stranger = [queued]
                    break
            batch.append(queued)
            if not rules.joins:
                return batch, 1
            rows += queued.rows
            if rows in rules.preferred_batch_sizes:
                preferred_length = len(batch)
        if not batch or self._max_delay_ns == 0:
            return batch + stranger, preferred_length or len(batch)
        leaves_ns = min(queued.enqueued_ns for queued in batch) + self._max_delay_ns
        if now_ns >= leaves_ns:
            return batch + stranger, len(batch)
        if preferred_length or stranger or rows >= self._largest_preferred:
            return batch + stranger, preferred_length or len(batch)
        ends_ns = [q.expires_ns + 1 for q in batch if q.expires_ns and not q.delayed]  # at its time it is not yet late
        self._next_look_ns = min([leaves_ns, *ends_ns])
        self._rows_wanted = min(size for size in (*rules.preferred_batch_sizes, rules.max_batch_size) if size > rows)
        return batch, 0

    def _runnable(self, now_ns: int) -> Iterator[Queued[Item]]:
        """Pop waiting requests in the order in which they run, setting expired ones aside."""
        for level in self._levels.values():
            for queue in (level.arrived, level.late):
                while queue:
                    queued = queue.popleft()
                    if queued.standing is not Standing.WAITING:
                        level.gone -= 1
                        continue
                    death_ns = _death_ns(queued, level.policy)
                    if death_ns is not None and now_ns > death_ns:
                        level.gone -= 1
                        self._give_up(queued)
                    elif queue is level.arrived and queued.expires_ns is not None and now_ns > queued.expires_ns:
                        queued.delayed = True
                        level.late.append(queued)
                    else:
                        yield queued

    def _give_up(self, queued: Queued[Item]) -> None:
        self._leave(queued, Standing.EXPIRED)
        self._expired.append(queued)

    def _leave(self, queued: Queued[Item], standing: Standing) -> None:
        queued.standing = standing
        level = self._levels[queued.level]
        level.waiting -= 1
        level.gone += standing is not Standing.TAKEN
        self._waiting -= 1
        self._waiting_rows -= queued.rows


class _Level(Generic[Item]):
    """The queue of one priority level. Requests that left stay in it, marked, until they are passed."""

    def __init__(self, number: int, policy: QueuePolicy) -> None:
        self.number = number
        self.policy = policy
        self.arrived: deque[Queued[Item]] = deque()
        self.late: deque[Queued[Item]] = deque()
        self.waiting = 0
        self.gone = 0

    def joins_the_last(self, queued: Queued[Item]) -> bool:
        return bool(self.arrived) and self.arrived[-1].joins_with == queued.joins_with

    def drop_the_gone(self) -> None:
        """Free requests that left, once they outnumber those that wait."""
        if self.gone > self.waiting + 32:
            for queue in (self.arrived, self.late):
                waiting = [queued for queued in queue if queued.standing is Standing.WAITING]
                queue.clear()
                queue.extend(waiting)
            self.gone = 0


def _death_ns(queued: Queued[Item], policy: QueuePolicy) -> int | None:
    """Time after which the request never runs."""
    expires_ns = None if policy.delay_expired else queued.expires_ns
    if expires_ns is None or queued.deadline_ns is None:
        return queued.deadline_ns if expires_ns is None else expires_ns
    return min(expires_ns, queued.deadline_ns)
