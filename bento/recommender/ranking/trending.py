"""Current popularity: counted from events, read every few seconds, used for people without a history."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from bento.background import Periodic
from bento.recommender.catalogue.popularity import popularity_ranks
from bento.recommender.people.events import Event
from bento.release.film_table import FilmTable
from bento.stores.errors import StoreUnavailable
from bento.stores.popularity import PopularityStore
from features.ids import Id
from features.thresholds import LIKED_FROM

log = logging.getLogger("marquee.recommender")

WEIGHTS = {"click": 0.25, "view": 1.0, "like": 1.5, "purchase": 2.0}
"""A rating of what is liked counts as a view; lower ratings and dislikes count nothing."""

REFRESH_S = 5.0
FILMS = 500
"""Most popular films that are read; the others keep the popularity that the release gave them."""

HALF_BOOST = 20.0
"""Decayed views that raise a film by half of the distance between the least and the most popular film."""


class Trending:
    """Counts events, and holds the films that are popular by them."""

    def __init__(self, store: PopularityStore, now_s: Callable[[], float] = time.time) -> None:
        self._store = store
        self._now_s = now_s
        self._values: dict[Id, float] = {}
        self.revision = 0
        """Increases when the popular films have changed."""
        self._refreshing: Periodic | None = None

    def start(self) -> None:
        """Start to read, in the background."""
        self._refreshing = Periodic("trending", self.refresh, REFRESH_S)

    async def close(self) -> None:
        """Stop."""
        if self._refreshing is not None:
            await self._refreshing.close()

    async def follow(self, event: Event) -> None:
        """Count one event at its own time: a late event has decayed as if it had been counted then."""
        weight = _weight(event)
        if weight:
            await self._store.add(event.movie_id, weight, event.timestamp_s)

    async def refresh(self) -> None:
        """Read the popular films; while Redis is unavailable they stay the same."""
        try:
            values = await self._store.top(FILMS, self._now_s())
        except StoreUnavailable as error:
            log.debug("popularity is not refreshed: %s", error)
            return
        if {film: round(value, 1) for film, value in values.items()} != {
            film: round(value, 1) for film, value in self._values.items()
        }:
            self.revision += 1
            self._values = values

    def popularity(self, films: FilmTable) -> npt.NDArray[np.float32]:
        """(N,) the release's popularity rank, 0..1, and up to 1 more for current popularity."""
        ranks = popularity_ranks(films.popularity)
        for movie_id, value in self._values.items():  # some hundreds at most
            row = films.catalog.row_of(movie_id)
            if row is not None:
                ranks[row] += value / (value + HALF_BOOST)
        return ranks


def _weight(event: Event) -> float:
    if event.event_type == "rate":
        return WEIGHTS["view"] if event.rating >= LIKED_FROM else 0.0
    return WEIGHTS.get(event.event_type, 0.0)
