"""The sequence batcher: requests of one sequence run in order, on one instance, in one slot of its batches.

A pure data structure like the dynamic batcher: time and instance number are passed in. Meaning and names are Triton's.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from tritonclient.grpc.model_config_pb2 import ModelConfig

from bento.inference.core.messages import SequenceControl
from bento.inference.scheduling.dynamic_batcher import NS_PER_US, Item, Queued, Standing


@dataclass(frozen=True, slots=True)
class SequenceRules:
    """How one model's sequences are batched."""

    instances: int = 1
    slots: int = 1
    """Sequences that one instance works on at a time."""
    max_batch_size: int = 1
    keeps_slots: bool = True
    """True (direct): a sequence is the same row of every batch; slots without a request are filled with nothing."""
    preferred_batch_sizes: tuple[int, ...] = ()
    max_queue_delay_us: int = 0
    minimum_slot_utilization_ratio: float = 0.0
    """Direct: share of slots that must have a request before a batch runs ahead of the queue delay."""
    max_idle_us: int = 1_000_000
    """A sequence that sends nothing for so long is forgotten."""

    @classmethod
    def from_config(cls, config: ModelConfig) -> SequenceRules:
        """Rules of a model whose configuration has its defaults filled in."""
        batching = config.sequence_batching
        max_batch_size = max(1, config.max_batch_size)
        oldest = batching.oldest if batching.HasField("oldest") else None
        return cls(
            instances=sum(group.count * max(1, len(group.gpus)) for group in config.instance_group),
            slots=max_batch_size if oldest is None else max(1, oldest.max_candidate_sequences),
            max_batch_size=max_batch_size,
            keeps_slots=oldest is None,
            preferred_batch_sizes=tuple(oldest.preferred_batch_size) if oldest is not None else (),
            max_queue_delay_us=(batching.direct if oldest is None else oldest).max_queue_delay_microseconds,
            minimum_slot_utilization_ratio=batching.direct.minimum_slot_utilization,
            max_idle_us=batching.max_sequence_idle_microseconds,
        )


@dataclass(slots=True, eq=False)
class Sequence:
    """One sequence, from its first request until the last has run."""

    id: int | str
    waiting: deque[Sequenced[Any]] = field(default_factory=deque)
    state: dict[str, Any] = field(default_factory=dict)
    """What the model wants back with the next request, by state input."""
    place: tuple[int, int] | None = None
    """Instance and slot; None in the backlog."""
    ends: bool = False
    """Its last request is queued or has run."""
    active_ns: int = 0
    """When its newest request arrived or last ran."""


@dataclass(slots=True, eq=False)
class Sequenced(Queued[Item]):
    """A queued request that belongs to a sequence."""

    control: SequenceControl = field(default_factory=lambda: SequenceControl(0))
    sequence: Sequence | None = None


class SequenceNotStarted(Exception):
    """The first request of a sequence did not say that it starts one."""


class SequenceBatcher:
    """Sequences in slots, the rest in a backlog. Same interface as `DynamicBatcher`."""

    wakes_all = True
    """A request waits for one certain instance, which only that instance can tell."""

    def __init__(self, rules: SequenceRules) -> None:
        self.rules = rules
        self._open: dict[int | str, Sequence] = {}  # those that may get further requests
        self._slots: list[list[Sequence | None]] = [[None] * rules.slots for _ in range(rules.instances)]
        self._backlog: deque[Sequence] = deque()
        self._waiting = 0
        self._expired: list[Queued[Any]] = []
        self._next_look_ns: int | None = None

    def __len__(self) -> int:
        """Requests that wait."""
        return self._waiting

    def enqueue(self, queued: Queued[Any], now_ns: int) -> None:
        """Put a request behind the others of its sequence; one that starts a sequence looks for a slot.

        Raises: SequenceNotStarted.
        """
        assert isinstance(queued, Sequenced)
        control = queued.control
        sequence = self._open.get(control.id)
        if sequence is None:
            if not control.start:
                raise SequenceNotStarted
            sequence = self._open[control.id] = Sequence(control.id)
            self._place(sequence)
        queued.sequence = sequence
        queued.enqueued_ns = sequence.active_ns = now_ns
        sequence.waiting.append(queued)
        self._waiting += 1
        if control.end:
            sequence.ends = True
            del self._open[control.id]

    def take(self, now_ns: int, instance: int = 0) -> list[Sequenced[Any] | None]:
        """What an instance that is free runs now, by slot; None is a slot without request. Empty: it should wait."""
        self._next_look_ns = None
        for sequence in self._on(instance):
            while sequence.waiting and self._is_dead(sequence.waiting[0], now_ns):
                self._give_up(sequence.waiting[0])
        ready = [sequence for sequence in self._on(instance) if sequence.waiting]
        if not ready:
            return []
        oldest_ns = min(sequence.waiting[0].enqueued_ns for sequence in ready)
        leaves_ns = oldest_ns + self.rules.max_queue_delay_us * NS_PER_US
        batch = self._direct(ready) if self.rules.keeps_slots else self._oldest(ready)
        if now_ns < leaves_ns and not self._is_enough(len(ready), len(batch)):
            self._next_look_ns = leaves_ns
            return []
        for queued in batch:
            if queued is not None:
                self._run(queued, now_ns)
        return batch

    def next_look_ns(self) -> int | None:
        """When to call `take` again after it returned nothing; None = when the next request arrives."""
        return self._next_look_ns

    def worth_a_look(self) -> bool:
        """Always: which instance a request is for, the instance finds out."""
        return True

    def cancel(self, queued: Queued[Any]) -> bool:
        """Take a request out of its sequence; False when it is no longer there."""
        assert isinstance(queued, Sequenced)
        if queued.standing is not Standing.WAITING:
            return False
        self._leave(queued, Standing.CANCELLED)
        return True

    def expire(self, now_ns: int) -> list[Queued[Any]]:
        """Forget idle sequences; take out, and return, requests whose client's deadline passed."""
        for sequence in self._all():
            for queued in [queued for queued in sequence.waiting if self._is_dead(queued, now_ns)]:
                self._give_up(queued)
            if self._idle_until_ns(sequence) is not None and now_ns > sequence.active_ns + self._max_idle_ns:
                self._end(sequence)
        return self.take_expired()

    def take_expired(self) -> list[Queued[Any]]:
        """Requests whose deadline passed, found since the last call; the caller answers them."""
        expired, self._expired = self._expired, []
        return expired

    def next_expiry_ns(self) -> int | None:
        """Earliest time after which `expire` has something to do."""
        idle = [until_ns for sequence in self._all() if (until_ns := self._idle_until_ns(sequence)) is not None]
        dead = [
            queued.deadline_ns
            for sequence in self._all()
            for queued in sequence.waiting
            if queued.deadline_ns is not None
        ]
        return min([*idle, *dead], default=None)

    @property
    def _max_idle_ns(self) -> int:
        return self.rules.max_idle_us * NS_PER_US

    def _idle_until_ns(self, sequence: Sequence) -> int | None:
        return None if sequence.waiting or sequence.ends else sequence.active_ns + self._max_idle_ns

    def _direct(self, ready: list[Sequence]) -> list[Sequenced[Any] | None]:
        """One row per slot up to the last that has a request; requests of another shape wait for the next batch."""
        shape = ready[0].waiting[0].joins_with
        rows: dict[int, Sequenced[Any]] = {}
        for sequence in ready:
            assert sequence.place is not None
            if sequence.waiting[0].joins_with == shape:
                rows[sequence.place[1]] = sequence.waiting[0]
        return [rows.get(slot) for slot in range(max(rows) + 1)]

    def _oldest(self, ready: list[Sequence]) -> list[Sequenced[Any] | None]:
        """The requests that wait longest, one per sequence, as far as their shapes agree."""
        heads = sorted((sequence.waiting[0] for sequence in ready), key=lambda queued: queued.enqueued_ns)
        same = [queued for queued in heads if queued.joins_with == heads[0].joins_with]
        return list(same[: self.rules.max_batch_size])

    def _is_enough(self, ready: int, rows: int) -> bool:
        """Whether a batch runs ahead of the queue delay."""
        rules = self.rules
        if rules.keeps_slots:
            return ready / rules.slots >= rules.minimum_slot_utilization_ratio
        return rows >= rules.max_batch_size or rows in rules.preferred_batch_sizes

    def _run(self, queued: Sequenced[Any], now_ns: int) -> None:
        assert queued.sequence is not None
        queued.sequence.active_ns = now_ns
        self._leave(queued, Standing.TAKEN)

    def _give_up(self, queued: Sequenced[Any]) -> None:
        self._leave(queued, Standing.EXPIRED)
        self._expired.append(queued)

    def _leave(self, queued: Sequenced[Any], standing: Standing) -> None:
        sequence = queued.sequence
        assert sequence is not None
        queued.standing = standing
        sequence.waiting.remove(queued)
        self._waiting -= 1
        if sequence.ends and not sequence.waiting:
            self._end(sequence)

    def _place(self, sequence: Sequence) -> None:
        """Into a free slot, of the instance that has most; else into the backlog.

        A sequence with the id of one that still has to end waits for that: to a model they are the same.
        """
        if any(other.id == sequence.id for other in self._placed()):
            self._backlog.append(sequence)
            return
        instance = max(range(self.rules.instances), key=lambda number: self._slots[number].count(None))
        slots = self._slots[instance]
        if None in slots:
            slot = slots.index(None)
            slots[slot] = sequence
            sequence.place = (instance, slot)
        else:
            self._backlog.append(sequence)

    def _end(self, sequence: Sequence) -> None:
        """Free the slot of a sequence for the next in the backlog."""
        if self._open.get(sequence.id) is sequence:
            del self._open[sequence.id]
        if sequence.place is None:
            self._backlog.remove(sequence)
            return
        instance, slot = sequence.place
        self._slots[instance][slot] = None
        backlog, self._backlog = self._backlog, deque()
        for waiting in backlog:
            self._place(waiting)

    def _on(self, instance: int) -> Iterator[Sequence]:
        return (sequence for sequence in list(self._slots[instance]) if sequence is not None)

    def _placed(self) -> Iterator[Sequence]:
        return (sequence for slots in self._slots for sequence in slots if sequence is not None)

    def _all(self) -> list[Sequence]:
        return [*self._placed(), *self._backlog]

    @staticmethod
    def _is_dead(queued: Sequenced[Any], now_ns: int) -> bool:
        return queued.deadline_ns is not None and now_ns > queued.deadline_ns
