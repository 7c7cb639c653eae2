"""The stores as the recommender sees them.

Every method may raise StoreUnavailable; whoever calls decides what to do without the answer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from bento.stores.film_records import CatalogueState, FilmChanges, FilmRecord, FilmVectors
from bento.stores.impressions import Counts, Impression
from bento.stores.person import Appended, PersonState, WatchEvent


class FeatureStore(Protocol):
    """What people did since the release was trained."""

    async def read(self, user_id: str) -> PersonState:
        """A person's state; an unknown person's is empty."""

    async def append(self, user_id: str, events: Sequence[WatchEvent], idempotency_key: str = "") -> Appended:
        """Add events and forget the person's cached answers, in one step.

        A film is kept once: the newer timestamp wins; a view keeps the rating given before, a click the view.
        Events that change nothing leave the version as it is. Of calls with one idempotency key only the first counts.
        """

    async def choose_genres(self, user_id: str, genres: Sequence[int]) -> None:
        """Keep the genres that a person says they like, in place of those chosen before; cached answers are forgotten.

        genres: places in `features.catalog.GENRES`.
        """

    async def forget(self, user_id: str) -> None:
        """Erase the person: events, cached answers, and from now on also what the release knows of them."""


class ResponseCache(Protocol):
    """Finished answers, for as long as the person's state stays the same."""

    async def get(self, owner: str, question: str) -> bytes | None:
        """The sealed answer to a question of this owner, or None. See `envelope` for what sealed means."""

    async def put(self, owner: str, question: str, sealed: bytes, ttl_s: float, version: int | None = None) -> None:
        """Keep a sealed answer for `ttl_s` seconds.

        `version`: of the person's state that it was made for. Where that is no longer the present one nothing is kept:
        somebody who was forgotten meanwhile stays so. None = whatever it is now.
        """


class EventLog(Protocol):
    """Everything that was acknowledged, in order, for whoever trains or counts later."""

    async def append(self, user_id: str, record: bytes) -> None:
        """Add one event of a person, as JSON. The oldest are dropped beyond the log's limit."""

    async def read(self, count: int) -> list[bytes]:
        """The newest `count` records, oldest first."""

    async def forget(self, user_id: str) -> int:
        """Delete a person's records; how many there were."""


class ImpressionLog(Protocol):
    """Served lists, for as long as events may quote them, and how many of them experiments saw clicked.

    `keys`: experiment -> the name under which it counts.
    """

    async def note(self, served: Sequence[tuple[str, Impression]], keys: Mapping[str, str]) -> None:
        """Remember lists that people were served, each with its person, and count them in their arms."""

    async def show(self, impressions: list[Impression]) -> None:
        """Add lists to those that `recent` tells, oldest first."""

    async def click(self, user_id: str, recommendation_id: str, movie_id: int, keys: Mapping[str, str]) -> bool:
        """Count a list as clicked: once, and only if this person was served it and it holds the film."""

    async def counts(self, key: str, arms: list[str]) -> dict[str, Counts]:
        """What was counted under a key, per arm."""

    async def recent(self, count: int) -> list[Impression]:
        """The newest lists, of all people, newest first."""

    async def forget(self, user_id: str) -> None:
        """Erase a person's lists. What was counted stays: it names nobody."""


class FilmStore(Protocol):
    """Films that were added, changed or removed since the release; shared by all workers."""

    async def state(self) -> CatalogueState:
        """Where it stands."""

    async def changes(self, since: CatalogueState) -> FilmChanges:
        """What changed after a state; everything when that is not one of this store's."""

    async def put(
        self, record: FilmRecord, vectors: FilmVectors | None, poster: bytes | None, expected: CatalogueState
    ) -> CatalogueState | None:
        """Store a film as it is now; the new state, or None when somebody else changed the catalogue meanwhile.

        `poster` None leaves the one that the record names where it is; a record without one forgets it.
        """

    async def keep_vectors(self, movie_id: int, vectors: FilmVectors) -> None:
        """Share what this release's encoders made of a film; that is no change of the catalogue."""

    async def poster(self, movie_id: int) -> bytes | None:
        """An added film's poster."""

    async def new_movie_id(self) -> int:
        """A number that no film has."""
