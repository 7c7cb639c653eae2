"""A person's state: their events since the release was trained, and how they are packed.

One value per person, read in one command and turned into arrays without a loop. The layout is little-endian:
version (uint64), flags (uint32), then one `EVENT` per film. A film is stored once, with its newest event. Timestamps
and versions stay below 2**53, which Redis' Lua represents exactly.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from features.ids import Id, key_of

EVENT = np.dtype([("movie_key", "<i8"), ("rating", "<f4"), ("timestamp_s", "<i8")])
"""20 bytes; with keys of the data's ids (`features.ids.key_of`), so that a state outlives the release with which it was
written."""

HEADER = struct.Struct("<QI")
"""Version and flags."""

FORGOTTEN = 1
"""Flag: this person was erased, so that their history in the release is ignored too."""

GENRES_FROM_BIT = 8
"""The flags from this bit on are the genres that the person chose, by their place in `features.catalog.GENRES`."""

EVENTS_LIMIT = 5_000
"""Films stored per person; beyond it the oldest are dropped, and may be recommended again."""

CLICKED = -1.0
"""Rating of a film that was clicked but not watched: it is part of the taste and may still be recommended."""


class DamagedState(ValueError):
    """A stored person state is damaged; it counts as empty."""

    def __init__(self, n_bytes: int) -> None:
        super().__init__(f"{n_bytes} bytes are no person state")


@dataclass(frozen=True, slots=True)
class WatchEvent:
    """One film that a person watched or rated."""

    movie_id: Id
    rating: float = 0.0
    """0.5 to 5 stars; 0 = watched without rating; CLICKED = not watched."""
    timestamp_s: int = 0


@dataclass(frozen=True, slots=True)
class PersonState:
    """The feature store's data of a person."""

    version: int = 0
    """Increases with every change; 0 = never changed."""
    forgotten: bool = False
    events: npt.NDArray[np.void] = field(default_factory=lambda: np.empty(0, dtype=EVENT))
    """(E,) `EVENT` records, oldest first."""
    genres: tuple[int, ...] = ()
    """Places in `features.catalog.GENRES` of the genres that the person chose."""


@dataclass(frozen=True, slots=True)
class Appended:
    """The result of adding events to the feature store."""

    version: int
    """The person's version afterwards."""
    changed: bool
    """False when the state stays the same: for a duplicate, or an event older than the film's stored one."""
    duplicate: bool = False
    """The idempotency key was used before; the events were ignored."""
    newest_before_s: int = 0
    """Timestamp of the person's newest event before these; 0 = there was none."""


NO_STATE = PersonState()
"""The state of a person without events."""


def pack_events(events: Sequence[WatchEvent]) -> bytes:
    """Events as `EVENT` records back to back."""
    rows = [(key_of(event.movie_id), event.rating, event.timestamp_s) for event in events]
    return np.array(rows, dtype=EVENT).tobytes()


def unpack_state(value: bytes | None) -> PersonState:
    """The state of a packed value; None (nothing stored) gives NO_STATE.

    Raises: DamagedState.
    """
    if value is None:
        return NO_STATE
    if len(value) < HEADER.size or (len(value) - HEADER.size) % EVENT.itemsize:
        raise DamagedState(len(value))
    version, flags = HEADER.unpack_from(value)
    events = np.frombuffer(value, dtype=EVENT, offset=HEADER.size)
    by_time = np.argsort(events["timestamp_s"], kind="stable")  # late events were appended at the end
    return PersonState(version, bool(flags & FORGOTTEN), events[by_time], unpack_genres(flags))


def pack_genres(genres: Iterable[int]) -> int:
    """Places in `features.catalog.GENRES` as flags of a state."""
    return sum(1 << (GENRES_FROM_BIT + genre) for genre in set(genres))


def unpack_genres(flags: int) -> tuple[int, ...]:
    """The places, in their order."""
    chosen = flags >> GENRES_FROM_BIT
    return tuple(place for place in range(chosen.bit_length()) if chosen >> place & 1)
