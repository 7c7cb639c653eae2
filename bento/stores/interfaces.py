"""The stores as the recommender sees them.

Every method may raise StoreUnavailable; the caller decides how to go on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from bento.stores.film_records import CatalogueState, FilmChanges, FilmRecord, FilmVectors
from bento.stores.impressions import Counts, Impression
from bento.stores.person import Appended, PersonState, WatchEvent
from features.ids import Id


class FeatureStore(Protocol):
    """Events of people since the release was trained."""

    async def read(self, user_id: str) -> PersonState:
        """A person's state; empty for an unknown person."""

    async def append(self, user_id: str, events: Sequence[WatchEvent], idempotency_key: str = "") -> Appended:
        """Add events and drop the person's cached answers, in one step.

        A film is stored once: the newer timestamp wins; a view keeps the rating given before, a click the view.
        Events that change nothing leave the version as it is. Of calls with one idempotency key only the first counts.
        """

    async def choose_genres(self, user_id: str, genres: Sequence[int]) -> None:
        """Replace the genres that a person has chosen; cached answers are dropped.

        genres: places in `features.catalog.GENRES`.
        """

    async def forget(self, user_id: str) -> None:
        """Erase the person: events, cached answers, and from now on also their history in the release."""


class ResponseCache(Protocol):
    """Finished answers, valid as long as the person's state stays the same."""

    async def get(self, owner: str, question: str) -> bytes | None:
        """The sealed answer to a question of this owner, or None. See `envelope` for what sealed means."""

    async def put(self, owner: str, question: str, sealed: bytes, ttl_s: float, version: int | None = None) -> None:
        """Store a sealed answer for `ttl_s` seconds.

        `version`: of the person's state that it was computed for. When that is no longer the present one nothing is
        stored, so that an erased person stays erased. None = any version.
        """


class EventLog(Protocol):
    """All acknowledged events in order, for training and statistics."""

    async def append(self, user_id: str, record: bytes) -> None:
        """Add one event of a person, as JSON. Beyond the log's limit the oldest are dropped."""

    async def read(self, count: int) -> list[bytes]:
        """The newest `count` records, oldest first."""

    async def forget(self, user_id: str) -> int:
        """Delete a person's records; how many there were."""


class ImpressionLog(Protocol):
    """Served lists, stored as long as events may refer to them, and their counts by experiment.

    `keys`: experiment -> the name under which it is counted.
    """

    async def note(self, served: Sequence[tuple[str, Impression]], keys: Mapping[str, str]) -> None:
        """Store lists that people were served, each with its person, and count them in their arms."""

    async def show(self, impressions: list[Impression]) -> None:
        """Add lists to those of `recent`, oldest first."""

    async def click(self, user_id: str, recommendation_id: str, movie_id: Id, keys: Mapping[str, str]) -> bool:
        """Count a list as clicked: once, and only if this person was served it and it contains the film."""

    async def counts(self, key: str, arms: list[str]) -> dict[str, Counts]:
        """The counts under a key, by arm."""

    async def recent(self, count: int) -> list[Impression]:
        """The newest lists, of all people, newest first."""

    async def forget(self, user_id: str) -> None:
        """Erase a person's lists. Counts stay, as they identify no person."""


class FilmStore(Protocol):
    """Films that were added, changed or removed since the release, shared by all workers."""

    async def state(self) -> CatalogueState:
        """The present state."""

    async def changes(self, since: CatalogueState) -> FilmChanges:
        """The changes after a state; all films when the state is not one of this store."""

    async def put(
        self, record: FilmRecord, vectors: FilmVectors | None, poster: bytes | None, expected: CatalogueState
    ) -> CatalogueState | None:
        """Store a film; the new state, or None when the present state is not the expected one.

        `poster` None keeps the stored one where the record has a poster; a record without a poster deletes it.
        """

    async def store_vectors(self, movie_id: Id, vectors: FilmVectors) -> None:
        """Share the vectors of a film with other workers; this does not change the catalogue's state."""

    async def poster(self, movie_id: Id) -> bytes | None:
        """An added film's poster."""

    async def new_movie_id(self) -> int:
        """A movie_id that no film has."""
