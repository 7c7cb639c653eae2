"""The history of a person: that of the release, continued by later events. Pure."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bento.release.people import EMPTY_HISTORY
from bento.stores.person import PersonState
from features.catalog import Catalog
from features.history import WatchHistory


@dataclass(frozen=True, slots=True)
class PersonHistory:
    """The films that describe the taste of a person, and those that they have seen."""

    taste: WatchHistory
    """Watched, rated and clicked films, oldest first; a click has no rating."""
    seen_rows: npt.NDArray[np.int64]
    """Films not to recommend: those of `taste` that were not only clicked."""


def merged(from_release: WatchHistory, state: PersonState, catalog: Catalog) -> PersonHistory:
    """The release's history continued by the feature store's events.

    A film in both counts with its newer event; a film of the release stays seen when it is clicked again.
    Events on films that this release does not hold are left out, and count again with a release that does.
    The release's history of an erased person is ignored.
    """
    base = EMPTY_HISTORY if state.forgotten else from_release
    if not len(state.events):
        return PersonHistory(base, base.item_rows)
    found = [catalog.row_of_key(key) for key in state.events["movie_key"].tolist()]
    here = np.array([row is not None for row in found])
    events = state.events[here]
    rows = np.array([row for row in found if row is not None], dtype=np.int64)
    older = ~np.isin(base.item_rows, rows)
    timestamps_s = np.concatenate([base.timestamps_s[older], events["timestamp_s"]])
    by_time = np.argsort(timestamps_s, kind="stable")
    taste = WatchHistory(
        np.concatenate([base.item_rows[older], rows])[by_time],
        np.concatenate([base.ratings[older], np.maximum(events["rating"], 0)]).astype(np.float32)[by_time],
        timestamps_s[by_time],
    )
    return PersonHistory(taste, np.union1d(base.item_rows, rows[events["rating"] >= 0]))
