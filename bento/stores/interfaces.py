"""The stores as the recommender sees them.

Every method may raise StoreUnavailable; whoever calls decides what to do without the answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

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

    async def forget(self, user_id: str) -> None:
        """Erase the person: events, cached answers, and from now on also what the release knows of them."""


class ResponseCache(Protocol):
    """Finished answers, for as long as the person's state stays the same."""

    async def get(self, owner: str, question: str) -> bytes | None:
        """The sealed answer to a question of this owner, or None. See `envelope` for what sealed means."""

    async def put(self, owner: str, question: str, sealed: bytes, ttl_s: float) -> None:
        """Keep a sealed answer for `ttl_s` seconds."""


class EventLog(Protocol):
    """Everything that was acknowledged, in order, for whoever trains or counts later."""

    async def append(self, user_id: str, record: bytes) -> None:
        """Add one event of a person, as JSON. The oldest are dropped beyond the log's limit."""

    async def read(self, count: int) -> list[bytes]:
        """The newest `count` records, oldest first."""

    async def forget(self, user_id: str) -> int:
        """Delete a person's records; how many there were."""
