"""What looks wrong in a data set although it can be read: told by `check`, never refused."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import numpy as np

from features.history import SECONDS_PER_DAY
from training.data.dataset import Dataset

UNSPLIT_SHARE = 0.1
"""Of the films with genres: genres that hold a separator."""
_SEPARATORS = ("[", ",", ";", "/")
_FAR_SPANS = 3
"""A time is far from the rest when it lies this many times the span of the middle 98 % of events outside of it."""
_NEAR_DAYS = 365
_SAME_TIME_SHARE = 0.9
_ENOUGH_EVENTS = 100


def flags(dataset: Dataset) -> tuple[str, ...]:
    """A sentence each, with the value and the remedy."""
    return (*dataset.report.suspicions, *_genres(dataset), *_times(dataset))


def _genres(dataset: Dataset) -> Iterator[str]:
    with_genres = [film for film in dataset.catalog.films if film.genres]
    for separator in _SEPARATORS:
        unsplit = [film for film in with_genres if any(separator in genre for genre in film.genres)]
        if len(unsplit) > UNSPLIT_SHARE * len(with_genres):
            notation = "list" if separator == "[" else separator
            yield (
                f"{len(unsplit):,} of {len(with_genres):,} films have a genre such as {unsplit[0].genres[0]!r}, as if "
                f"genres were never split: say genre_separator = {notation!r} in the data.toml that "
                "`python -m training describe --force` writes"
            )
            return


def _times(dataset: Dataset) -> Iterator[str]:
    stamps = dataset.events.timestamps_s
    if not dataset.timed or len(stamps) < _ENOUGH_EVENTS:
        return
    low, high = np.quantile(stamps, [0.01, 0.99])
    reach = max(_FAR_SPANS * (high - low), _NEAR_DAYS * SECONDS_PER_DAY)
    far = np.flatnonzero((stamps < low - reach) | (stamps > high + reach))
    if len(far):
        yield (
            f"{len(far):,} of {len(stamps):,} events have a time far from the rest, such as {_day(stamps[far[0]])} "
            f"({stamps[far[0]]}) of person {dataset.user_ids[dataset.events.user_rows[far[0]]]}, where nearly all are "
            f"between {_day(low)} and {_day(high)}: a line may be cut off or in another unit"
        )
    now = datetime.now(UTC).timestamp() + SECONDS_PER_DAY
    if later := int((stamps > now).sum()):
        yield f"{later:,} of {len(stamps):,} events lie in the future, up to {_day(stamps.max())}: is it their unit?"
    values, counts = np.unique(stamps, return_counts=True)
    if counts.max() > _SAME_TIME_SHARE * len(stamps):
        yield (
            f"{counts.max():,} of {len(stamps):,} events have the same time, {_day(values[counts.argmax()])}: their "
            "order is not known; leave `time` out of data.toml where rows stand in order"
        )


def _day(stamp_s: float) -> str:
    return datetime.fromtimestamp(int(stamp_s), UTC).date().isoformat()
