"""Events as a Parquet file whose row groups hold whole people, so that training can stream it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from training.data.dataset import Events

EVENTS_PER_GROUP = 500_000
"""About this many events to a row group: 10 MB of what training reads of them."""

EVENT_COLUMNS = ("user_row", "item_row", "rating", "timestamp_s")
"""What every event table has; there may be more."""

Arrays = dict[str, npt.NDArray[np.generic]]


def write_event_table(
    path: Path,
    events: Events,
    more: Callable[[slice], Arrays] = lambda rows: {},
    on_rows: Callable[[int], None] = lambda rows: None,
    events_per_group: int = EVENTS_PER_GROUP,
) -> None:
    """Write events that are grouped by person, a row group at a time.

    more: further columns of a slice of the events. on_rows: called with the number of events of each group.
    """
    with pq.ParquetWriter(path, _table(events, slice(0, 0), more).schema, compression="zstd") as writer:
        for rows in whole_people(events.user_rows, events_per_group):
            writer.write_table(_table(events, rows, more), row_group_size=rows.stop - rows.start)
            on_rows(rows.stop - rows.start)


def whole_people(user_rows: npt.NDArray[np.integer], most: int) -> Iterator[slice]:
    """Slices of about `most` events that never split a person's; longer only where one person has more."""
    ends = np.flatnonzero(np.r_[user_rows[1:] != user_rows[:-1], True]) + 1 if len(user_rows) else np.zeros(0, int)
    start = 0
    while start < len(user_rows):
        last_fitting = np.searchsorted(ends, start + most, side="right") - 1
        first_end = np.searchsorted(ends, start, side="right")
        stop = int(ends[max(last_fitting, first_end)])
        yield slice(start, stop)
        start = stop


def read_group(file: pq.ParquetFile, group: int) -> Events:
    """The events of one row group."""
    table = file.read_row_group(group, columns=list(EVENT_COLUMNS))
    return Events(*(table.column(name).to_numpy() for name in EVENT_COLUMNS))


def _table(events: Events, rows: slice, more: Callable[[slice], Arrays]) -> pa.Table:
    own: Arrays = {
        "user_row": events.user_rows[rows],
        "item_row": events.item_rows[rows],
        "rating": events.ratings[rows],
        "timestamp_s": events.timestamps_s[rows],
    }
    return pa.table(own | more(rows))
