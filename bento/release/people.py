"""The people of a release, with their watch histories.

Read-only and in memory, so that these people are served without Redis. Later events are in the feature store and
continue these histories.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from features.history import WatchHistory

EMPTY_HISTORY = WatchHistory(np.empty(0, np.int64), np.empty(0, np.float32), np.empty(0, np.int64))


@dataclass(frozen=True)
class ReleasePeople:
    """Watch histories back to back: events [offsets[u], offsets[u+1]) are person u's, oldest first."""

    row_of: dict[str, int]
    offsets: npt.NDArray[np.int64]
    item_rows: npt.NDArray[np.int32]
    ratings: npt.NDArray[np.float32]
    timestamps_s: npt.NDArray[np.int64]

    FILE: ClassVar[str] = "histories.npz"

    @classmethod
    def load(cls, path: Path) -> ReleasePeople:
        """Read `histories.npz` as export writes it."""
        with np.load(path, allow_pickle=False) as arrays:
            return cls(
                {str(user_id): row for row, user_id in enumerate(arrays["user_ids"].tolist())},
                arrays["offsets"],
                arrays["item_rows"],
                arrays["ratings"],
                arrays["timestamps_s"],
            )

    @classmethod
    def empty(cls) -> ReleasePeople:
        """A release without histories."""
        none = EMPTY_HISTORY
        return cls({}, np.zeros(1, np.int64), none.item_rows.astype(np.int32), none.ratings, none.timestamps_s)

    def __len__(self) -> int:
        return len(self.row_of)

    def __contains__(self, user_id: str) -> bool:
        return user_id in self.row_of

    @property
    def highest_row(self) -> int:
        """Highest item_row of any history; -1 when there is none."""
        return int(self.item_rows.max(initial=-1))

    def history_of(self, user_id: str) -> WatchHistory:
        """A person's history; empty for people who are not in the release."""
        row = self.row_of.get(user_id)
        if row is None:
            return EMPTY_HISTORY
        events = slice(int(self.offsets[row]), int(self.offsets[row + 1]))
        return WatchHistory(
            self.item_rows[events].astype(np.int64), self.ratings[events], self.timestamps_s[events].astype(np.int64)
        )

    def rating_statistics(self, n_films: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]:
        """How many people rated each film, and the mean of their stars; 0 for unrated films.

        Returns (N,) counts and (N,) means. Events without a rating do not count.
        """
        rated = self.ratings > 0
        counts = np.bincount(self.item_rows[rated], minlength=n_films)
        sums = np.bincount(self.item_rows[rated], weights=self.ratings[rated], minlength=n_films)
        return counts, (sums / np.maximum(counts, 1)).astype(np.float32)
