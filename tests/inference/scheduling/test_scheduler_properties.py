"""What holds for every sequence of arrivals, cancellations and looks of free instances, on a fake clock."""

from __future__ import annotations

from collections import defaultdict

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from bento.inference.scheduling.batching_rules import BatchingRules, QueuePolicy
from bento.inference.scheduling.dynamic_batcher import DynamicBatcher, Queued, QueueIsFull, Standing

US = 1_000


Arrival = tuple[int, int, int, int, int | None]
ARRIVALS = st.tuples(
    st.sampled_from([1, 1, 1, 2, 3, 8]),  # rows
    st.sampled_from([0, 0, 0, 1]),  # shape
    st.integers(0, 4),  # priority
    st.sampled_from([0, 0, 10, 50, 1000]),  # timeout_us
    st.sampled_from([None, None, None, None, 5, 70]),  # patience_us
)


@st.composite
def policies(draw: st.DrawFn) -> QueuePolicy:
    return QueuePolicy(
        max_queue_size=draw(st.sampled_from([0, 0, 3, 10])),
        default_timeout_us=draw(st.sampled_from([0, 0, 20, 100])),
        allow_timeout_override=draw(st.booleans()),
        delay_expired=draw(st.booleans()),
    )


@st.composite
def batching_rules(draw: st.DrawFn) -> BatchingRules:
    max_batch_size = draw(st.sampled_from([8, 4, 2, 8, 1]))
    joins = max_batch_size > 1 and draw(st.sampled_from([True, True, True, False]))
    preferred = draw(st.sets(st.integers(1, max_batch_size), max_size=3)) or {max_batch_size}
    levels = draw(st.sampled_from([0, 1, 3]))
    return BatchingRules(
        max_batch_size=max_batch_size,
        joins=joins,
        preferred_batch_sizes=tuple(sorted(preferred)) if joins else (),
        max_queue_delay_us=draw(st.sampled_from([0, 30, 30, 200])),
        priority_levels=levels,
        default_priority_level=draw(st.integers(1, levels)) if levels else 0,
        default_policy=draw(policies()),
        policies=draw(st.dictionaries(st.integers(1, levels), policies(), max_size=2)) if levels else {},
    )


class BatcherMachine(RuleBasedStateMachine):
    """The batcher beside a plain record of everything that happened to it."""

    @initialize(rules=batching_rules())
    def start(self, rules: BatchingRules) -> None:
        self.rules = rules
        self.batcher = DynamicBatcher[int](rules)
        self.now_ns = 0
        self.waiting: dict[int, Queued[int]] = {}
        self.number = 0
        self.last_taken: dict[int, int] = defaultdict(lambda: -1)

    @rule(
        bursts=st.lists(
            st.tuples(st.sampled_from([0, 0, 5, 25]), st.lists(ARRIVALS, min_size=1, max_size=6)),
            min_size=1,
            max_size=3,
        ),
        look=st.booleans(),
    )
    def arrive(self, bursts: list[tuple[int, list[Arrival]]], look: bool) -> None:
        for pause_us, arrivals in bursts:
            self.now_ns += pause_us * US
            for arrival in arrivals:
                self.arrive_one(*arrival)
        if look:
            self.look()

    def arrive_one(self, rows: int, shape: int, priority: int, timeout_us: int, patience_us: int | None) -> None:
        deadline_ns = None if patience_us is None else self.now_ns + patience_us * US
        queued = Queued(self.number, min(rows, self.rules.max_batch_size), shape, priority, timeout_us, deadline_ns)
        policy = self.policy(self.level_of(priority))
        try:
            self.batcher.enqueue(queued, self.now_ns)
        except QueueIsFull:
            same_level = [other for other in self.waiting.values() if other.level == self.level_of(priority)]
            assert policy.max_queue_size == len(same_level) > 0
            return
        timeouts = [policy.default_timeout_us] if policy.default_timeout_us else []
        if policy.allow_timeout_override and timeouts and timeout_us:
            timeouts.append(timeout_us)
        assert queued.expires_ns == (self.now_ns + min(timeouts) * US if timeouts else None)
        self.waiting[self.number] = queued
        self.number += 1

    @rule(us=st.integers(1, 120))
    def pass_time(self, us: int) -> None:
        self.now_ns += us * US

    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        if self.waiting:
            number = data.draw(st.sampled_from(sorted(self.waiting)))
            assert self.batcher.cancel(self.waiting.pop(number))

    @rule()
    def expire(self) -> None:
        self.account_for_expired(self.batcher.expire(self.now_ns))
        assert not any(self.must_be_dead(queued) for queued in self.waiting.values())

    @rule()
    def look(self) -> None:
        batch = self.batcher.take(self.now_ns)
        self.account_for_expired(self.batcher.take_expired())
        if batch:
            self.check_batch(batch)
        else:
            self.check_wait()

    def check_batch(self, batch: list[Queued[int]]) -> None:
        for queued in batch:
            assert self.waiting.pop(queued.item) is queued
            assert queued.standing is Standing.TAKEN
            assert not self.must_be_dead(queued)
            if not queued.delayed:
                assert queued.item > self.last_taken[queued.level], "order within a priority"
                self.last_taken[queued.level] = queued.item
        assert len(batch) == 1 or self.rules.joins
        assert len(batch) == 1 or sum(queued.rows for queued in batch) <= self.rules.max_batch_size
        assert len({queued.joins_with for queued in batch}) == 1
        most_urgent_left = min((queued.level for queued in self.waiting.values()), default=batch[0].level)
        assert batch[0].level <= most_urgent_left

    def check_wait(self) -> None:
        """With a free instance nobody waits, unless a queue delay says so, and then not beyond it."""
        alive = [queued for queued in self.waiting.values() if not self.must_be_dead(queued)]
        if not alive:
            return
        assert self.rules.max_queue_delay_us > 0
        assert self.rules.joins
        next_look_ns = self.batcher.next_look_ns()
        assert next_look_ns is not None
        assert self.now_ns < next_look_ns
        oldest_ns = min(queued.enqueued_ns for queued in alive)
        assert next_look_ns <= oldest_ns + self.rules.max_queue_delay_us * US

    def account_for_expired(self, expired: list[Queued[int]]) -> None:
        for queued in expired:
            assert self.waiting.pop(queued.item) is queued
            assert self.must_be_dead(queued)

    def must_be_dead(self, queued: Queued[int]) -> bool:
        past_deadline = queued.deadline_ns is not None and self.now_ns > queued.deadline_ns
        past_timeout = queued.expires_ns is not None and self.now_ns > queued.expires_ns
        return past_deadline or (past_timeout and not self.policy(queued.level).delay_expired)

    def level_of(self, priority: int) -> int:
        if not self.rules.priority_levels:
            return 0
        return priority if 1 <= priority <= self.rules.priority_levels else self.rules.default_priority_level

    def policy(self, level: int) -> QueuePolicy:
        return self.rules.policies.get(level, self.rules.default_policy)

    @invariant()
    def counts_agree(self) -> None:
        if hasattr(self, "batcher"):
            assert len(self.batcher) == len(self.waiting)

    def teardown(self) -> None:
        """Nothing is forgotten: long after, everything left either runs or has expired."""
        if not hasattr(self, "batcher"):
            return
        self.now_ns += 10**9
        while self.waiting:
            before = len(self.waiting)
            self.look()
            assert len(self.waiting) < before, "a free instance made no progress"


class LongRunsMachine(BatcherMachine):
    """The same, for what shows only after many steps."""


# A failing run of 40 steps shrinks for minutes, one of 8 steps for seconds: most faults show in short runs, which are
# tried first and shrunk; what only a long run shows is told as it was found.
BatcherMachine.TestCase.settings = settings(
    max_examples=150, stateful_step_count=8, deadline=None, phases=set(Phase) - {Phase.explain}
)
LongRunsMachine.TestCase.settings = settings(
    max_examples=150, stateful_step_count=40, deadline=None, phases=set(Phase) - {Phase.explain, Phase.shrink}
)
TestShortRuns = pytest.mark.timeout(120)(BatcherMachine.TestCase)
TestLongRuns = pytest.mark.timeout(120)(LongRunsMachine.TestCase)


@given(
    preferred=st.sets(st.integers(2, 8), min_size=1, max_size=2),
    delay_us=st.integers(1, 100),
    arrivals=st.lists(st.tuples(st.integers(0, 60), st.integers(1, 4), st.integers(0, 9)), min_size=1, max_size=30),
)
@settings(deadline=None)
def test_while_an_instance_is_free_nobody_waits_beyond_the_delay_nor_is_sent_without_reason(
    preferred: set[int], delay_us: int, arrivals: list[tuple[int, int, int]]
) -> None:
    """An instance that is always free looks at every arrival and whenever it was told to look again.

    arrivals: (microseconds since the one before, rows, tenths: 0 = an odd shape).
    """
    rules = BatchingRules(8, joins=True, preferred_batch_sizes=tuple(sorted(preferred)), max_queue_delay_us=delay_us)
    batcher = DynamicBatcher[int](rules)
    now_ns, waiting = 0, 0

    def look() -> None:
        nonlocal waiting
        while batch := batcher.take(now_ns):
            waiting -= len(batch)
            rows = sum(queued.rows for queued in batch)
            age_ns = now_ns - min(queued.enqueued_ns for queued in batch)
            assert age_ns <= delay_us * US, "over the delay"
            assert rows <= 8 or len(batch) == 1
            full = rows >= min(preferred) or waiting > 0
            assert full or age_ns == delay_us * US, "sent early, neither full nor late nor in the way of another"

    for number, (pause_us, rows, odd) in enumerate(arrivals):
        arrives_ns = now_ns + pause_us * US
        while (next_ns := batcher.next_look_ns()) is not None and next_ns <= arrives_ns:
            now_ns = next_ns
            look()
        now_ns = arrives_ns
        batcher.enqueue(Queued(number, rows, odd == 0), now_ns)
        waiting += 1
        if batcher.worth_a_look():
            look()
    while (next_ns := batcher.next_look_ns()) is not None:
        now_ns = next_ns
        look()
    assert waiting == len(batcher) == 0
