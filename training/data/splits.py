"""The evaluation protocols: which events a model trains on, and which it must predict.

`last5` and `last1` hide each person's newest events, `newuser` hides whole people, `random` hides
events without regard to time and so leaks the future: it is there only to compare with published tables.
Events of one second are ordered by a hash of (person, film): ordering them by row would let a model
learn "the next film has the higher id" from the order of the file.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from features.history import WatchHistory
from training.data.dataset import Events

Rows = npt.NDArray[np.int64]

NEWUSER_SHARE = 0.2
"""Share of people, the latest to arrive, that `newuser` never trains on."""

NEWUSER_TARGETS = 10
RANDOM_SHARE = 0.2


class Protocol(StrEnum):
    """What is held out."""

    LAST5 = "last5"
    LAST1 = "last1"
    NEWUSER = "newuser"
    RANDOM = "random"
    MIXED = "mixed"
    """As `last5`, and the people of `newuser` are not trained on at all: what validates a release, because it is
    served to people it was trained on and to unseen people who bring their history."""


@dataclass(frozen=True, slots=True)
class Split:
    """Training events, and P people whose next events are predicted from their histories."""

    protocol: Protocol
    train: Events
    people: Rows
    """(P,) user rows, ascending; everyone has at least one event in the history and one target."""
    histories: tuple[WatchHistory, ...]
    """(P) all known events of a person when predicted, oldest first, not yet cut to T."""
    targets: tuple[Rows, ...]
    """(P) held-out item rows; none of them stands in the person's own history."""
    target_ratings: tuple[npt.NDArray[np.float32], ...]
    """(P) stars given to each target."""


def select(events: Events, keep: npt.NDArray[np.bool_] | Rows) -> Events:
    """The events of a mask or of positions, in that order."""
    return Events(
        events.user_rows[keep], events.item_rows[keep], events.ratings[keep], events.timestamps_s[keep]
    )  # fmt: skip


def mixed_hash(*keys: npt.NDArray[np.integer]) -> npt.NDArray[np.uint64]:
    """A fixed pseudo-random 64-bit number per element, of keys of any integer width.

    Source: the finaliser of SplitMix64 (Steele, Lea, Flood 2014).
    """
    state = np.zeros(keys[0].shape, dtype=np.uint64)
    with np.errstate(over="ignore"):
        for key in keys:
            state = (state ^ key.astype(np.uint64)) + np.uint64(0x9E3779B97F4A7C15)
            state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
            state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
            state = state ^ (state >> np.uint64(31))
    return state


def in_time_order(events: Events) -> Events:
    """Events by person, then time; events of the same second by hash. A film watched twice keeps its newest event."""
    order = np.lexsort((mixed_hash(events.user_rows, events.item_rows), events.timestamps_s, events.user_rows))
    ordered = select(events, order)
    pair = _pair(ordered.user_rows, ordered.item_rows)
    _, newest_from_end = np.unique(pair[::-1], return_index=True)
    return select(ordered, np.sort(len(pair) - 1 - newest_from_end))


def positions_from_end(user_rows: npt.NDArray[np.integer]) -> Rows:
    """How many later events each event's person has; `user_rows` must be grouped by person."""
    n = len(user_rows)
    last = np.flatnonzero(np.r_[user_rows[1:] != user_rows[:-1], True]) if n else np.zeros(0, dtype=np.int64)
    counts = np.diff(np.r_[-1, last])
    return np.repeat(last, counts) - np.arange(n)


def hold_out(events: Events, protocol: Protocol, seed: int = 0) -> Split:
    """Split events by a protocol; `train` and every history are in time order.

    People with too little to hold out (`last5` needs at least 6 events) stay in `train` and are not predicted.
    """
    ordered = in_time_order(events)
    hidden, trained = roles(ordered, protocol, seed)
    return replace(_hide(ordered, protocol, hidden), train=select(ordered, trained))


def roles(ordered: Events, protocol: Protocol, seed: int = 0) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """(E,) which events in time order are to be predicted, and which are trained on; no event is both.

    Events that are neither belong to the histories of people that are not trained on.
    """
    match protocol:
        case Protocol.LAST5:
            hidden = _last(ordered, 5)
            return hidden, ~hidden
        case Protocol.LAST1:
            hidden = _last(ordered, 1)
            return hidden, ~hidden
        case Protocol.RANDOM:
            hidden = np.random.default_rng(seed).random(len(ordered.user_rows)) < RANDOM_SHARE
            return hidden, ~hidden
        case Protocol.MIXED:
            hidden = _last(ordered, 5)
            return hidden, ~hidden & ~np.isin(ordered.user_rows, unseen_people(ordered))
        case Protocol.NEWUSER:
            unseen = np.isin(ordered.user_rows, unseen_people(ordered))
            return unseen & _last(ordered, NEWUSER_TARGETS), ~unseen


def visible_events(events: Events, protocol: Protocol | None, seed: int = 0) -> Events:
    """The events in time order that models may see when a protocol's are held out; all of them with None."""
    ordered = in_time_order(events)
    return select(ordered, roles(ordered, protocol, seed)[1]) if protocol else ordered


def unseen_people(events: Events) -> Rows:
    """User rows of the last fifth of people by their first event."""
    people = np.unique(events.user_rows)
    arrival = np.full(len(people), np.iinfo(np.int64).max)
    np.minimum.at(arrival, np.searchsorted(people, events.user_rows), events.timestamps_s)
    by_arrival = people[np.lexsort((mixed_hash(people), arrival))]
    return np.sort(by_arrival[len(people) - int(len(people) * NEWUSER_SHARE) :]).astype(np.int64)


def split_by_person(events: Events) -> tuple[Rows, tuple[WatchHistory, ...]]:
    """Person rows, ascending, and each one's history in the order of `events` (grouped by person)."""
    people, starts = np.unique(events.user_rows, return_index=True)
    bounds = np.r_[starts, len(events.user_rows)]
    histories = tuple(
        WatchHistory(
            events.item_rows[a:b].astype(np.int64), events.ratings[a:b], events.timestamps_s[a:b].astype(np.int64)
        )
        for a, b in pairwise(bounds)
    )
    return people.astype(np.int64), histories


def histories_of(histories: Sequence[WatchHistory], rows: Rows) -> tuple[WatchHistory, ...]:
    """The histories at these positions."""
    return tuple(histories[row] for row in rows)


def _last(ordered: Events, n: int) -> npt.NDArray[np.bool_]:
    """Mask of each person's newest n events, for people who have more than n."""
    _, person, counts = np.unique(ordered.user_rows, return_inverse=True, return_counts=True)
    return (positions_from_end(ordered.user_rows) < n) & (counts[person] > n)


def _hide(ordered: Events, protocol: Protocol, hidden: npt.NDArray[np.bool_]) -> Split:
    visible = select(ordered, ~hidden)
    targets = select(ordered, hidden)
    people, histories = split_by_person(visible)
    hidden_people, hidden_events = split_by_person(targets)
    both = np.intersect1d(people, hidden_people)
    return Split(
        protocol,
        visible,
        both,
        histories_of(histories, np.searchsorted(people, both)),
        tuple(hidden_events[row].item_rows for row in np.searchsorted(hidden_people, both)),
        tuple(hidden_events[row].ratings for row in np.searchsorted(hidden_people, both)),
    )


def of_people(split: Split, rows: Rows) -> Split:
    """The split with only the people at these positions to predict; `train` stays whole."""
    return replace(
        split, people=split.people[rows], histories=histories_of(split.histories, rows),
        targets=tuple(split.targets[row] for row in rows),
        target_ratings=tuple(split.target_ratings[row] for row in rows),
    )  # fmt: skip


def sample_people(split: Split, most: int, seed: int) -> Split:
    """The split with at most this many people to predict, sampled at random; `train` stays whole."""
    if len(split.people) <= most:
        return split
    drawn = np.sort(np.random.default_rng(seed).choice(len(split.people), most, replace=False))
    return of_people(split, drawn)


def _pair(user_rows: npt.NDArray[np.integer], item_rows: npt.NDArray[np.integer]) -> Rows:
    return user_rows.astype(np.int64) << 32 | item_rows.astype(np.int64)
