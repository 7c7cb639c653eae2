"""What the people of the data watched, so that a known person is served by their id alone."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from export.errors import DataChanged
from features.history import WatchHistory

if TYPE_CHECKING:
    from training.checkpoint import Checkpoint
    from training.data.dataset import Dataset, Events


def write_histories(path: Path, user_ids: Sequence[str], events: Events, timed: bool = True) -> None:
    """Write `histories.npz`: each person's events back to back, oldest first; people without events are left out.

    user_ids: by user_row. events: in time order. timed: False where the data have no times, which are then not known.
    Written: user_ids (U,) text; offsets (U + 1,): person u's events are [offsets[u], offsets[u + 1]) of
    item_rows (E,) int32, ratings (E,) float32 and timestamps_s (E,) int64.
    """
    order = np.argsort(events.user_rows, kind="stable")
    counts = np.bincount(events.user_rows, minlength=len(user_ids))
    known = counts > 0
    np.savez(
        path,
        user_ids=np.array(user_ids)[known],
        offsets=np.concatenate([[0], np.cumsum(counts[known])]),
        item_rows=events.item_rows[order],
        ratings=events.ratings[order],
        timestamps_s=events.timestamps_s[order] if timed else np.zeros(len(order), dtype=np.int64),
    )


def read_histories(path: Path) -> tuple[list[str], list[WatchHistory]]:
    """User ids and histories as `write_histories` wrote them."""
    with np.load(path, allow_pickle=False) as stored:
        columns = {name: stored[name] for name in stored.files}
    histories = [
        WatchHistory(
            columns["item_rows"][start:stop].astype(np.int64),
            columns["ratings"][start:stop],
            columns["timestamps_s"][start:stop],
        )
        for start, stop in pairwise(columns["offsets"].tolist())
    ]
    return columns["user_ids"].tolist(), histories


def visible_events(trained: Checkpoint, dataset: Dataset, seed: int) -> Events:
    """The events that the release's models were trained on, in time order; seed is the training's.

    What was held out stays out: otherwise the release could not be scored on it.

    Raises: DataChanged when the data set is not the one that was trained on.
    """
    from training.data.splits import Protocol, hold_out, in_time_order

    held_out = trained.facts.hold_out
    events = hold_out(dataset.events, Protocol(held_out), seed).train if held_out else in_time_order(dataset.events)
    if len(events) != trained.facts.events:
        raise DataChanged(trained.facts.events, len(events))
    return events
