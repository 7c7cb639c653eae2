"""The films that a person has watched, as routes show them: the release's history, continued by later events."""

from __future__ import annotations

import logging

import numpy as np

from bento.recommender.people.histories import PersonHistory, merged
from bento.release.loading import Release
from bento.stores.errors import StoreUnavailable
from bento.stores.interfaces import FeatureStore
from bento.stores.person import NO_STATE, DamagedState, PersonState
from features.history import WatchHistory

log = logging.getLogger("marquee.recommender")


class PersonFilms:
    """Reads histories of people; without the feature store, those of the release alone."""

    def __init__(self, release: Release, features: FeatureStore) -> None:
        self._release = release
        self._features = features

    async def of(self, user_id: str) -> tuple[WatchHistory, list[str]]:
        """The watched films, oldest first, and the parts that failed. An unknown person has none."""
        state, degraded = await self._state(user_id)
        return _watched(merged(self._release.people.history_of(user_id), state, self._release.catalog)), degraded

    async def _state(self, user_id: str) -> tuple[PersonState, list[str]]:
        try:
            return await self._features.read(user_id), []
        except (StoreUnavailable, DamagedState) as error:
            log.debug("going on without the person's state: %s", error)
            return NO_STATE, ["feature_store"]


def _watched(person: PersonHistory) -> WatchHistory:
    """The history without films that were only clicked."""
    taste = person.taste
    watched = np.isin(taste.item_rows, person.seen_rows)
    return WatchHistory(taste.item_rows[watched], taste.ratings[watched], taste.timestamps_s[watched])
