"""A data set with each event's split, and statistics of people and films from the events outside the test."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from training.data.dataset import Dataset, Events
from training.data.event_table import Arrays
from training.data.splits import Protocol, in_time_order, roles, select

Float32 = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]

SPLITS = np.array(["history", "train", "test"])
"""The split of an event; "history" are events of people that are predicted but never trained on (`newuser`)."""


@dataclass(frozen=True)
class Prepared:
    """Events in time order, their split, and statistics of people and films from the events outside the test."""

    dataset: Dataset
    protocol: Protocol | None
    events: Events
    test: Mask
    """(E)"""
    train: Mask
    """(E)"""

    @classmethod
    def of(cls, dataset: Dataset, protocol: Protocol | None, seed: int = 0) -> Prepared:
        """With a protocol's split; without one all events are for training."""
        ordered = in_time_order(dataset.events)
        everything = np.ones(len(ordered), dtype=np.bool_)
        test, train = roles(ordered, protocol, seed) if protocol else (~everything, everything)
        return cls(dataset, protocol, ordered, test, train)

    @cached_property
    def visible(self) -> Events:
        """All events but the test's."""
        return select(self.events, ~self.test)

    @cached_property
    def people(self) -> Moments:
        """Of every person's visible ratings; the mean of all and no deviation where a person has none."""
        return Moments.of(self.visible.user_rows, self.visible.ratings, len(self.dataset.user_ids))

    @cached_property
    def films(self) -> Moments:
        """Of every film's visible ratings."""
        return Moments.of(self.visible.item_rows, self.visible.ratings, len(self.dataset.catalog))

    @cached_property
    def user_ids(self) -> npt.NDArray[np.str_]:
        """(U)"""
        return np.array(self.dataset.user_ids)

    def described(self, rows: npt.NDArray[np.int64]) -> Arrays:
        """Columns beside the four of an event table, of some events; those that the data cannot give are left out."""
        events, people = select(self.events, rows), self.people
        spread = np.where(people.deviation > 0, people.deviation, 1)[events.user_rows]
        columns: Arrays = {
            "user_id": self.user_ids[events.user_rows],
            "movie_id": self.dataset.catalog.movie_ids[events.item_rows],
            "rating_normalised": ((events.ratings - people.mean[events.user_rows]) / spread).astype(np.float32),
            "day": weekday(events.timestamps_s),
            "hour": hour(events.timestamps_s),
            "split": SPLITS[self.train[rows] + 2 * self.test[rows]],
        }
        unknown = (() if self.dataset.rated else ("rating_normalised",)) + (
            () if self.dataset.timed else ("day", "hour")
        )
        return {name: column for name, column in columns.items() if name not in unknown}


@dataclass(frozen=True, slots=True)
class Moments:
    """Count of each row's events, mean and deviation of its ratings."""

    count: npt.NDArray[np.int64]
    mean: Float32
    """Stars; the mean of all ratings where there is none, 0 where nothing is rated at all."""
    deviation: Float32
    """Stars, of the population; 0 where all ratings are equal or there are none."""

    @classmethod
    def of(cls, rows: npt.NDArray[np.integer], ratings: Float32, n_rows: int) -> Moments:
        """Over `n_rows` people or films."""
        count = np.bincount(rows, minlength=n_rows)
        stars = ratings > 0
        if not stars.all():
            rows, ratings = rows[stars], ratings[stars]
        rated = np.bincount(rows, minlength=n_rows)
        overall = float(ratings.mean()) if len(ratings) else 0.0
        mean = np.bincount(rows, ratings, minlength=n_rows) / np.maximum(rated, 1)
        squares = np.bincount(rows, (ratings - mean[rows]) ** 2, minlength=n_rows) / np.maximum(rated, 1)
        mean = np.where(rated > 0, mean, overall)
        return cls(count, mean.astype(np.float32), np.sqrt(squares).astype(np.float32))


def weekday(timestamps_s: npt.NDArray[np.int64]) -> npt.NDArray[np.int8]:
    """Day of the week in UTC: 0 = Monday, 6 = Sunday."""
    return ((timestamps_s // 86_400 + 3) % 7).astype(np.int8)  # 1970 began on a Thursday


def hour(timestamps_s: npt.NDArray[np.int64]) -> npt.NDArray[np.int8]:
    """Hour of the day in UTC, 0 to 23."""
    return (timestamps_s % 86_400 // 3600).astype(np.int8)
