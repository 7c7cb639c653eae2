"""Histories as tensors: who is padded, who is cut, and what every edge becomes."""

from __future__ import annotations

import numpy as np
import pytest

from features.history import HISTORY_LENGTH, WatchHistory, history_tensors

DAY_S = 86_400


def history(rows: list[int], ratings: list[float] | None = None, stamps: list[int] | None = None) -> WatchHistory:
    """Without ratings and times these are not known."""
    return WatchHistory(
        np.array(rows, dtype=np.int64),
        np.array([0.0] * len(rows) if ratings is None else ratings, dtype=np.float32),
        np.array([0] * len(rows) if stamps is None else stamps, dtype=np.int64),
    )


def filled(tensors: dict[str, np.ndarray], name: str, person: int, count: int) -> list[float]:
    """A person's first values; what follows must be padding."""
    row = tensors[name][person].tolist()
    assert row[count:] == [0] * (HISTORY_LENGTH - count)
    return row[:count]


def test_tokens_are_rows_and_one_with_padding_on_the_right() -> None:
    tensors = history_tensors([history([0, 7]), history([3])])
    assert {name: (tensor.shape, tensor.dtype) for name, tensor in tensors.items()} == {
        "history": ((2, HISTORY_LENGTH), np.int64),
        "ratings": ((2, HISTORY_LENGTH), np.float32),
        "age_days": ((2, HISTORY_LENGTH), np.float32),
    }
    assert filled(tensors, "history", 0, 2) == [1, 8]
    assert filled(tensors, "history", 1, 1) == [4]


@pytest.mark.parametrize("place", [0, 1, 2])
def test_an_empty_history_is_a_row_of_zeros_wherever_it_stands(place: int) -> None:
    people = [history([5], [4.0], [9]), history([6], [3.0], [9])]
    people.insert(place, history([]))
    tensors = history_tensors(people)
    assert all(filled(tensors, name, place, 0) == [] for name in tensors)
    assert [int(row[0]) for row in np.delete(tensors["history"], place, axis=0)] == [6, 7]
    assert [float(row[0]) for row in np.delete(tensors["ratings"], place, axis=0)] == [4, 3]


def test_nobody_gives_no_rows() -> None:
    assert {tensor.shape for tensor in history_tensors([]).values()} == {(0, HISTORY_LENGTH)}


@pytest.mark.parametrize("length", [HISTORY_LENGTH - 1, HISTORY_LENGTH, HISTORY_LENGTH + 1, 3 * HISTORY_LENGTH])
def test_of_a_long_history_the_newest_are_kept(length: int) -> None:
    """Film, stars and time of each event say which one it is."""
    rows = list(range(length))
    watched = history(rows, [row % 9 / 2 + 0.5 for row in rows], [(row + 1) * DAY_S for row in rows])
    tensors = history_tensors([watched])
    kept = rows[-HISTORY_LENGTH:]
    assert filled(tensors, "history", 0, len(kept)) == [row + 1 for row in kept]
    assert filled(tensors, "ratings", 0, len(kept)) == [row % 9 / 2 + 0.5 for row in kept]
    assert filled(tensors, "age_days", 0, len(kept)) == [length - 1 - row for row in kept]


def test_ages_count_from_the_newest_event_wherever_it_stands() -> None:
    tensors = history_tensors([history([1, 2, 3], stamps=[DAY_S, 4 * DAY_S, 2 * DAY_S + DAY_S // 2])])
    assert filled(tensors, "age_days", 0, 3) == [3, 0, 1.5]


def test_an_event_of_unknown_time_has_no_age() -> None:
    tensors = history_tensors([history([1, 2, 3], stamps=[0, 10 * DAY_S, 1]), history([1, 2])])
    assert filled(tensors, "age_days", 0, 3) == [0, 0, pytest.approx(10, abs=1e-4)]
    assert filled(tensors, "age_days", 1, 2) == [0, 0]
