"""The sequence batcher's decisions, on a clock that stands where the test puts it."""

from __future__ import annotations

from typing import Any

import pytest
from google.protobuf import text_format
from hypothesis import given, settings
from hypothesis import strategies as st
from tritonclient.grpc.model_config_pb2 import ModelConfig

from bento.inference.core.messages import SequenceControl
from bento.inference.scheduling.sequence_batcher import SequenceBatcher, Sequenced, SequenceNotStarted, SequenceRules

US = 1_000


def request(name: str, id: int, *, start: bool = False, end: bool = False, **more: Any) -> Sequenced[str]:
    return Sequenced(name, control=SequenceControl(id, start, end), **more)


def taken(batcher: SequenceBatcher, now_ns: int = 0, instance: int = 0) -> list[str | None]:
    return [None if queued is None else queued.item for queued in batcher.take(now_ns, instance)]


def put(batcher: SequenceBatcher, *requests: Sequenced[str], now_ns: int = 0) -> None:
    for queued in requests:
        batcher.enqueue(queued, now_ns)


class TestDirect:
    rules = SequenceRules(instances=1, slots=3, max_batch_size=3)

    def test_a_sequence_keeps_its_slot_and_its_order(self) -> None:
        batcher = SequenceBatcher(self.rules)
        put(batcher, request("a1", 1, start=True), request("b1", 2, start=True), request("a2", 1), request("b2", 2))
        assert taken(batcher) == ["a1", "b1"]
        assert taken(batcher) == ["a2", "b2"]

    def test_slots_before_the_last_one_are_filled_with_nothing(self) -> None:
        batcher = SequenceBatcher(self.rules)
        put(batcher, request("a1", 1, start=True), request("b1", 2, start=True), request("c1", 3, start=True))
        taken(batcher)
        put(batcher, request("b2", 2))
        assert taken(batcher) == [None, "b2"]

    def test_one_request_of_a_sequence_at_a_time(self) -> None:
        batcher = SequenceBatcher(self.rules)
        put(batcher, request("a1", 1, start=True), request("a2", 1), request("a3", 1))
        assert [taken(batcher) for _ in range(4)] == [["a1"], ["a2"], ["a3"], []]

    def test_an_ended_sequence_makes_room_for_the_backlog(self) -> None:
        batcher = SequenceBatcher(SequenceRules(instances=1, slots=1, max_batch_size=1))
        put(batcher, request("a1", 1, start=True), request("b1", 2, start=True), request("b2", 2, end=True))
        put(batcher, request("a2", 1, end=True))
        assert [taken(batcher) for _ in range(5)] == [["a1"], ["a2"], ["b1"], ["b2"], []]

    def test_sequences_are_spread_over_instances_and_stay_there(self) -> None:
        batcher = SequenceBatcher(SequenceRules(instances=2, slots=2, max_batch_size=2))
        put(batcher, request("a1", 1, start=True), request("b1", 2, start=True), request("a2", 1), request("b2", 2))
        assert [taken(batcher, instance=0) for _ in range(2)] == [["a1"], ["a2"]]
        assert [taken(batcher, instance=1) for _ in range(2)] == [["b1"], ["b2"]]

    def test_other_shapes_wait_for_the_next_batch(self) -> None:
        batcher = SequenceBatcher(self.rules)
        put(batcher, request("a1", 1, start=True, joins_with=1), request("b1", 2, start=True, joins_with=2))
        assert taken(batcher) == ["a1"]
        assert taken(batcher) == [None, "b1"]

    def test_a_queue_delay_waits_for_the_wanted_utilization(self) -> None:
        rules = SequenceRules(
            instances=1, slots=2, max_batch_size=2, max_queue_delay_us=100, minimum_slot_utilization_ratio=1.0
        )
        batcher = SequenceBatcher(rules)
        put(batcher, request("a1", 1, start=True))
        assert taken(batcher) == []
        assert batcher.next_look_ns() == 100 * US
        assert taken(batcher, 100 * US) == ["a1"]
        put(batcher, request("a2", 1), request("b1", 2, start=True), now_ns=200 * US)
        assert taken(batcher, 200 * US) == ["a2", "b1"]


class TestOldest:
    rules = SequenceRules(instances=1, slots=4, max_batch_size=2, keeps_slots=False, preferred_batch_sizes=(2,))

    def test_the_longest_waiting_go_first_without_gaps(self) -> None:
        batcher = SequenceBatcher(self.rules)
        for number, name in enumerate("abc"):
            put(batcher, request(f"{name}1", number + 1, start=True), now_ns=number)
        put(batcher, request("a2", 1), now_ns=3)
        assert taken(batcher, 4) == ["a1", "b1"]
        assert taken(batcher, 4) == ["c1", "a2"]

    def test_never_more_than_the_candidates(self) -> None:
        batcher = SequenceBatcher(SequenceRules(slots=1, max_batch_size=2, keeps_slots=False))
        put(batcher, request("a1", 1, start=True), request("b1", 2, start=True))
        assert taken(batcher) == ["a1"]
        assert taken(batcher) == []


class TestLifeOfASequence:
    rules = SequenceRules(slots=1, max_batch_size=1, max_idle_us=100)

    def test_the_first_request_must_start_it(self) -> None:
        batcher = SequenceBatcher(self.rules)
        with pytest.raises(SequenceNotStarted):
            batcher.enqueue(request("a1", 1), 0)

    def test_after_its_end_it_must_be_started_anew(self) -> None:
        batcher = SequenceBatcher(self.rules)
        put(batcher, request("a1", 1, start=True, end=True))
        with pytest.raises(SequenceNotStarted):
            batcher.enqueue(request("a2", 1), 0)

    def test_an_idle_one_is_forgotten_and_its_slot_given_away(self) -> None:
        batcher = SequenceBatcher(self.rules)
        put(batcher, request("a1", 1, start=True), request("b1", 2, start=True))
        assert taken(batcher, 0) == ["a1"]
        assert batcher.next_expiry_ns() == 100 * US
        assert batcher.expire(100 * US) == []
        assert taken(batcher, 100 * US) == []
        batcher.expire(100 * US + 1)
        assert taken(batcher, 100 * US + 1) == ["b1"]
        with pytest.raises(SequenceNotStarted):
            batcher.enqueue(request("a2", 1), 200 * US)

    def test_a_request_whose_deadline_passed_never_runs(self) -> None:
        batcher = SequenceBatcher(self.rules)
        put(batcher, request("a1", 1, start=True, deadline_ns=10 * US), request("a2", 1))
        assert taken(batcher, 11 * US) == ["a2"]
        assert [queued.item for queued in batcher.take_expired()] == ["a1"]

    def test_a_cancelled_last_request_ends_its_sequence(self) -> None:
        batcher = SequenceBatcher(self.rules)
        last = request("a1", 1, start=True, end=True)
        put(batcher, last, request("b1", 2, start=True))
        assert batcher.cancel(last)
        assert not batcher.cancel(last)
        assert taken(batcher) == ["b1"]


@given(
    rules=st.builds(
        SequenceRules,
        instances=st.integers(1, 3),
        slots=st.integers(1, 3),
        max_batch_size=st.integers(1, 3),
        keeps_slots=st.booleans(),
    ),
    arrivals=st.lists(st.tuples(st.integers(1, 6), st.booleans(), st.booleans()), max_size=60),
)
@settings(deadline=None)
def test_every_request_runs_once_in_order_on_one_instance(
    rules: SequenceRules, arrivals: list[tuple[int, bool, bool]]
) -> None:
    """arrivals: (sequence, whether it ends here, whether all instances look after it)."""
    batcher = SequenceBatcher(rules)
    run: dict[str, tuple[int, int]] = {}  # request: (order, place)
    life: dict[int, int] = {}  # sequence: how often it was started
    arrived: dict[tuple[int, int], list[str]] = {}
    is_open: set[int] = set()

    def look() -> bool:
        worked = False
        for instance in range(rules.instances):
            batch = batcher.take(10**7, instance)
            rows = [queued for queued in batch if queued is not None]
            assert rules.keeps_slots or len(rows) == len(batch) <= rules.max_batch_size
            assert len(batch) <= max(rules.slots, rules.max_batch_size)
            assert len({queued.control.id for queued in rows}) == len(rows)
            for queued in rows:
                assert queued.item not in run
                run[queued.item] = (len(run), instance)
            worked |= bool(batch)
        return worked

    for number, (id, end, look_now) in enumerate(arrivals):
        if id not in is_open:
            life[id] = life.get(id, 0) + 1
        name = f"r{number}"
        batcher.enqueue(request(name, id, start=id not in is_open, end=end), number)
        arrived.setdefault((id, life[id]), []).append(name)
        (is_open.discard if end else is_open.add)(id)
        if look_now:
            look()
    for id in list(is_open):  # or the backlog would wait for the idle timeout
        name = f"end{id}"
        batcher.enqueue(request(name, id, end=True), 10**6)
        arrived[id, life[id]].append(name)
    while look():
        pass
    assert len(batcher) == 0
    for names in arrived.values():
        order = [run[name][0] for name in names]
        assert order == sorted(order)
        assert len({run[name][1] for name in names}) == 1


@pytest.mark.parametrize(
    ("batching", "rules"),
    [
        (
            "direct { max_queue_delay_microseconds: 70 minimum_slot_utilization: 0.5 }",
            SequenceRules(5, 4, 4, True, (), 70, 0.5, 900),
        ),
        (
            "oldest { max_candidate_sequences: 6 preferred_batch_size: [ 2, 4 ] max_queue_delay_microseconds: 80 }",
            SequenceRules(5, 6, 4, False, (2, 4), 80, 0.0, 900),
        ),
        ("oldest { }", SequenceRules(5, 1, 4, False, (), 0, 0.0, 900)),
    ],
    ids=["direct", "oldest", "oldest without a number"],
)
def test_every_rule_comes_from_its_own_field_of_the_configuration(batching: str, rules: SequenceRules) -> None:
    """A group of two on the CPU, and one of one on each of three GPUs."""
    text = f"""
        max_batch_size: 4 instance_group [{{ count: 2 }}, {{ count: 1 gpus: [ 0, 1, 3 ] }}]
        sequence_batching {{ max_sequence_idle_microseconds: 900 {batching} }}
    """
    assert SequenceRules.from_config(text_format.Parse(text, ModelConfig())) == rules
