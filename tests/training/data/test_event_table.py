"""Events in a Parquet file: whole people in every row group, nothing lost."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from tests.training.worlds import planted_tastes
from training.data.event_table import read_group, whole_people, write_event_table
from training.data.splits import in_time_order


@pytest.mark.parametrize(("most", "expected"), [(1, [2, 5, 6]), (2, [2, 5, 6]), (4, [2, 6]), (5, [5, 6]), (9, [6])])
def test_slices_never_part_a_person(most: int, expected: list[int]) -> None:
    rows = np.array([0, 0, 3, 3, 3, 7])  # people of two, three and one events

    assert [part.stop for part in whole_people(rows, most)] == expected


def test_nobody_is_no_slice() -> None:
    assert list(whole_people(np.zeros(0, dtype=np.int32), 5)) == []


def test_row_groups_together_are_the_events(tmp_path: Path) -> None:
    events = in_time_order(planted_tastes()[0])

    write_event_table(tmp_path / "events.parquet", events, events_per_group=1000)

    file = pq.ParquetFile(tmp_path / "events.parquet")
    groups = [read_group(file, group) for group in range(file.num_row_groups)]
    assert len(groups) == 6  # 5120 events; 62 people of 16 events make 992
    for column in ("user_rows", "item_rows", "ratings", "timestamps_s"):
        joined = np.concatenate([getattr(group, column) for group in groups])
        np.testing.assert_array_equal(joined, getattr(events, column))
        assert joined.dtype == getattr(events, column).dtype
