"""The dynamic batcher's decisions, one by one, on a clock that stands where the test puts it."""

from __future__ import annotations

import weakref

import pytest
from google.protobuf import text_format
from tritonclient.grpc.model_config_pb2 import ModelConfig

from bento.inference.scheduling.batching_rules import BatchingRules, QueuePolicy
from bento.inference.scheduling.dynamic_batcher import DynamicBatcher, Queued, QueueIsFull, Standing

US = 1_000
JOINING = BatchingRules(max_batch_size=4, joins=True, preferred_batch_sizes=(4,))


def batcher_with(rules: BatchingRules, *requests: Queued[str], now_ns: int = 0) -> DynamicBatcher[str]:
    batcher = DynamicBatcher[str](rules)
    for request in requests:
        batcher.enqueue(request, now_ns)
    return batcher


def taken(batcher: DynamicBatcher[str], now_ns: int = 0) -> list[str]:
    return [queued.item for queued in batcher.take(now_ns)]


def all_taken(batcher: DynamicBatcher[str], now_ns: int = 0) -> list[list[str]]:
    batches = []
    while batch := taken(batcher, now_ns):
        batches.append(batch)
    return batches


def test_what_waits_runs_at_once_when_no_delay_is_configured() -> None:
    batcher = batcher_with(JOINING, Queued("a"), Queued("b"))
    assert taken(batcher) == ["a", "b"]
    assert len(batcher) == 0


def test_an_empty_queue_gives_nothing_and_no_time_to_look_again() -> None:
    batcher = batcher_with(JOINING)
    assert taken(batcher) == []
    assert batcher.next_look_ns() is None


def test_rows_are_counted_not_requests_and_no_request_is_cut() -> None:
    batcher = batcher_with(JOINING, Queued("a", rows=3), Queued("b", rows=2), Queued("c", rows=2))
    assert all_taken(batcher) == [["a"], ["b", "c"]]


def test_without_dynamic_batching_every_request_runs_alone() -> None:
    batcher = batcher_with(BatchingRules(max_batch_size=4), Queued("a"), Queued("b"))
    assert all_taken(batcher) == [["a"], ["b"]]


def test_different_shapes_are_never_joined_and_keep_their_order() -> None:
    batcher = batcher_with(
        JOINING,
        Queued("a", joins_with=1),
        Queued("b", joins_with=2),
        Queued("c", joins_with=2),
        Queued("d", joins_with=1),
    )
    assert all_taken(batcher) == [["a"], ["b", "c"], ["d"]]


def test_the_largest_preferred_size_that_can_be_had_is_taken() -> None:
    rules = BatchingRules(max_batch_size=8, joins=True, preferred_batch_sizes=(2, 4))
    batcher = batcher_with(rules, *(Queued(name) for name in "abcdefg"))
    assert all_taken(batcher) == [list("abcd"), list("ef"), list("g")]


def test_a_request_that_would_pass_all_preferred_sizes_starts_the_next_batch() -> None:
    rules = BatchingRules(max_batch_size=8, joins=True, preferred_batch_sizes=(4,))
    batcher = batcher_with(rules, Queued("a", rows=3), Queued("b", rows=3))
    assert all_taken(batcher) == [["a"], ["b"]]


class TestQueueDelay:
    rules = BatchingRules(max_batch_size=8, joins=True, preferred_batch_sizes=(4,), max_queue_delay_us=100)

    def test_a_batch_that_could_grow_waits_for_the_delay_of_its_oldest_request(self) -> None:
        batcher = batcher_with(self.rules, Queued("a"), now_ns=0)
        batcher.enqueue(Queued("b"), 60 * US)
        assert taken(batcher, 60 * US) == []
        assert batcher.next_look_ns() == 100 * US
        assert taken(batcher, 99 * US) == []
        assert taken(batcher, 100 * US) == ["a", "b"]

    def test_a_preferred_size_does_not_wait(self) -> None:
        batcher = batcher_with(self.rules, *(Queued(name) for name in "abcd"))
        assert taken(batcher) == list("abcd")

    def test_after_the_delay_everything_that_fits_goes_along(self) -> None:
        batcher = batcher_with(self.rules, *(Queued(name) for name in "abcdef"))
        assert taken(batcher, 100 * US) == list("abcdef")

    def test_a_different_shape_behind_it_ends_the_wait(self) -> None:
        batcher = batcher_with(self.rules, Queued("a", joins_with=1))
        assert taken(batcher) == []
        batcher.enqueue(Queued("b", joins_with=2), 0)
        assert batcher.worth_a_look()
        assert taken(batcher) == ["a"]
        assert taken(batcher) == []

    def test_only_an_arrival_that_completes_a_batch_is_worth_a_look(self) -> None:
        batcher = batcher_with(self.rules, Queued("a"))
        assert batcher.worth_a_look()
        assert taken(batcher) == []
        batcher.enqueue(Queued("b"), 0)
        assert not batcher.worth_a_look()
        batcher.enqueue(Queued("c", rows=2), 0)
        assert batcher.worth_a_look()
        assert taken(batcher) == ["a", "b", "c"]


class TestPriorities:
    rules = BatchingRules(
        max_batch_size=4, joins=True, preferred_batch_sizes=(4,), priority_levels=3, default_priority_level=2
    )

    def test_urgent_requests_run_first_and_order_is_kept_within_a_level(self) -> None:
        batcher = batcher_with(
            self.rules,
            Queued("c", priority=3),
            Queued("a", priority=1),
            Queued("b", priority=2),
            Queued("a2", priority=1),
        )
        assert taken(batcher) == ["a", "a2", "b", "c"]

    @pytest.mark.parametrize("priority", [0, 4, 99])
    def test_a_priority_that_is_not_configured_is_the_default_level(self, priority: int) -> None:
        batcher = batcher_with(
            self.rules, Queued("c", priority=3), Queued("default", priority=priority), Queued("a", priority=1)
        )
        assert taken(batcher) == ["a", "default", "c"]

    def test_each_level_has_its_own_policy(self) -> None:
        rules = BatchingRules(
            max_batch_size=4, joins=True, preferred_batch_sizes=(4,), priority_levels=2, default_priority_level=1,
            policies={2: QueuePolicy(max_queue_size=1)},
        )  # fmt: skip
        batcher = batcher_with(rules, Queued("a", priority=1), Queued("b", priority=1), Queued("c", priority=2))
        with pytest.raises(QueueIsFull):
            batcher.enqueue(Queued("d", priority=2), 0)


class TestQueueSize:
    rules = BatchingRules(default_policy=QueuePolicy(max_queue_size=2))

    def test_a_full_queue_refuses(self) -> None:
        batcher = batcher_with(self.rules, Queued("a"), Queued("b"))
        with pytest.raises(QueueIsFull):
            batcher.enqueue(Queued("c"), 0)
        assert all_taken(batcher) == [["a"], ["b"]]

    def test_a_cancelled_request_makes_room(self) -> None:
        first = Queued("a")
        batcher = batcher_with(self.rules, first, Queued("b"))
        assert batcher.cancel(first)
        batcher.enqueue(Queued("c"), 0)
        assert all_taken(batcher) == [["b"], ["c"]]


class TestTimeouts:
    rejecting = BatchingRules(default_policy=QueuePolicy(default_timeout_us=100))

    def test_a_request_runs_until_its_timeout_and_never_after(self) -> None:
        batcher = batcher_with(self.rejecting, Queued("a"), Queued("b"))
        assert batcher.next_expiry_ns() == 100 * US
        assert taken(batcher, 100 * US) == ["a"]
        assert taken(batcher, 100 * US + 1) == []
        (expired,) = batcher.take_expired()
        assert (expired.item, expired.standing) == ("b", Standing.EXPIRED)
        assert batcher.next_expiry_ns() is None

    def test_expire_finds_the_expired_behind_those_that_are_not(self) -> None:
        rules = BatchingRules(default_policy=QueuePolicy(default_timeout_us=100, allow_timeout_override=True))
        batcher = batcher_with(rules, Queued("a"), Queued("b", timeout_us=10))
        assert [queued.item for queued in batcher.expire(11 * US)] == ["b"]
        assert all_taken(batcher, 11 * US) == [["a"]]

    def test_an_override_may_shorten_the_timeout_but_not_lengthen_it(self) -> None:
        rules = BatchingRules(default_policy=QueuePolicy(default_timeout_us=100, allow_timeout_override=True))
        batcher = batcher_with(rules, Queued("a", timeout_us=500))
        assert batcher.next_expiry_ns() == 100 * US

    def test_an_override_that_is_not_allowed_is_ignored(self) -> None:
        batcher = batcher_with(self.rejecting, Queued("a", timeout_us=10))
        assert batcher.next_expiry_ns() == 100 * US

    def test_delayed_requests_run_after_all_that_are_in_time(self) -> None:
        rules = BatchingRules(default_policy=QueuePolicy(default_timeout_us=100, delay_expired=True))
        batcher = batcher_with(rules, Queued("late"))
        batcher.enqueue(Queued("in time"), 150 * US)
        assert batcher.expire(150 * US) == []
        assert all_taken(batcher, 150 * US) == [["in time"], ["late"]]

    def test_nothing_runs_after_the_clients_deadline_whatever_the_policy(self) -> None:
        rules = BatchingRules(default_policy=QueuePolicy(default_timeout_us=100, delay_expired=True))
        batcher = batcher_with(rules, Queued("a", deadline_ns=200 * US))
        assert taken(batcher, 201 * US) == []
        assert [queued.item for queued in batcher.take_expired()] == ["a"]


def test_a_cancelled_request_never_runs_and_cannot_be_cancelled_twice() -> None:
    request = Queued("a")
    batcher = batcher_with(JOINING, request, Queued("b"))
    assert batcher.cancel(request)
    assert not batcher.cancel(request)
    assert taken(batcher) == ["b"]


def test_a_request_that_was_taken_cannot_be_cancelled() -> None:
    request = Queued("a")
    batcher = batcher_with(JOINING, request)
    assert taken(batcher) == ["a"]
    assert not batcher.cancel(request)


def test_ten_thousand_cancelled_requests_leave_nothing_behind() -> None:
    class Label:
        """Tells by a weak reference whether the batcher still holds it."""

    batcher: DynamicBatcher[Label] = DynamicBatcher(JOINING)
    first, cancelled = Label(), []
    batcher.enqueue(Queued(first), 0)
    for _ in range(10_000):
        label = Label()
        request = Queued(label, deadline_ns=10**18)
        batcher.enqueue(request, 0)
        batcher.cancel(request)
        cancelled.append(weakref.ref(label))
    batcher.next_expiry_ns()
    del label, request
    assert sum(reference() is not None for reference in cancelled) < 200
    assert [queued.item for queued in batcher.take(0)] == [first]


def test_delayed_requests_keep_the_order_in_which_they_were_found_late() -> None:
    rules = BatchingRules(default_policy=QueuePolicy(default_timeout_us=100, delay_expired=True))
    batcher = batcher_with(rules, Queued("late 1"), Queued("late 2"))
    batcher.enqueue(Queued("in time"), 150 * US)
    assert all_taken(batcher, 150 * US) == [["in time"], ["late 1"], ["late 2"]]


def test_several_requests_that_expired_are_found_at_once() -> None:
    batcher = batcher_with(TestTimeouts.rejecting, Queued("a"), Queued("b"))
    assert [queued.item for queued in batcher.expire(100 * US + 1)] == ["a", "b"]


def test_rows_never_exceed_the_batch_size_even_after_the_delay() -> None:
    rules = BatchingRules(max_batch_size=4, joins=True, preferred_batch_sizes=(2,), max_queue_delay_us=100)
    batcher = batcher_with(rules, *(Queued(name, rows=3) for name in "ab"))
    assert taken(batcher, 200 * US) == ["a"]


def test_a_batch_is_not_looked_at_again_before_its_first_request_is_late() -> None:
    policy = QueuePolicy(default_timeout_us=20)
    rules = BatchingRules(8, joins=True, preferred_batch_sizes=(8,), max_queue_delay_us=30, default_policy=policy)
    batcher = DynamicBatcher[str](rules)
    batcher.enqueue(Queued("a"), 0)
    assert batcher.take(20_000) == []
    assert batcher.next_look_ns() == 20_001  # at 20 us exactly it may still run: looking then would change nothing


def test_every_rule_comes_from_its_own_field_of_the_configuration() -> None:
    config = text_format.Parse(
        """
        max_batch_size: 16
        dynamic_batching {
          preferred_batch_size: [ 8, 4 ] max_queue_delay_microseconds: 70 priority_levels: 3 default_priority_level: 2
          default_queue_policy { max_queue_size: 5 default_timeout_microseconds: 60 }
          priority_queue_policy {
            key: 1 value { timeout_action: DELAY default_timeout_microseconds: 9 allow_timeout_override: true }
          }
          priority_queue_policy { key: 3 value { max_queue_size: 1 } }
        }
        """,
        ModelConfig(),
    )
    assert BatchingRules.from_config(config) == BatchingRules(
        max_batch_size=16,
        joins=True,
        preferred_batch_sizes=(4, 8),
        max_queue_delay_us=70,
        priority_levels=3,
        default_priority_level=2,
        default_policy=QueuePolicy(max_queue_size=5, default_timeout_us=60),
        policies={
            1: QueuePolicy(default_timeout_us=9, allow_timeout_override=True, delay_expired=True),
            3: QueuePolicy(max_queue_size=1),
        },
    )


@pytest.mark.parametrize(
    ("text", "rules"),
    [
        ("", BatchingRules()),
        ("max_batch_size: 8", BatchingRules(max_batch_size=8)),
        ("max_batch_size: 1 dynamic_batching { }", BatchingRules(max_batch_size=1)),
        ("max_batch_size: 2 dynamic_batching { }", BatchingRules(max_batch_size=2, joins=True)),
    ],
)
def test_only_a_model_that_says_so_and_has_room_joins_requests(text: str, rules: BatchingRules) -> None:
    assert BatchingRules.from_config(text_format.Parse(text, ModelConfig())) == rules
