"""Films that were added or removed since the release, as they are stored.

What somebody said of a film outlives releases; its vectors are made by one release's encoders and belong to it.
"""

from __future__ import annotations

import hashlib
from typing import Any, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt
from msgspec import Struct

from features.catalog import Film

FILM_LIMIT = 20_000
"""Added films; beyond it a new release is due: they are searched one by one, and kept in each worker's memory."""


FIRST_GIVEN_ID = 900_000_000
"""Number of the first film that came without one: MovieLens' own are far below, and training reads nine digits."""


class FilmRecord(Struct, frozen=True):
    """What is known of one film beside the release."""

    movie_id: int
    film: Film | None = None
    """None: a film of a release, of which nothing is said but whether it is hidden."""
    hidden: bool = False
    poster: str = ""
    """Digest of its poster; "" when it has none."""

    @property
    def digest(self) -> str:
        """Changes with everything that the vectors are made of."""
        return digest_of(msgspec.msgpack.encode((self.film, self.poster)))


class FilmVectors(Struct, frozen=True):
    """What a release's encoders made of a film, as little-endian float32."""

    made_of: str
    """`FilmRecord.digest` of what they saw."""
    item: bytes
    """(D,) in the fused space."""
    text: bytes
    """(384,) what the text encoder says."""

    @classmethod
    def of(cls, record: FilmRecord, item: npt.NDArray[np.float32], text: npt.NDArray[np.float32]) -> FilmVectors:
        """Pack."""
        return cls(record.digest, item.astype("<f4").tobytes(), text.astype("<f4").tobytes())

    @property
    def item_vector(self) -> npt.NDArray[np.float32]:
        """(D,)"""
        return np.frombuffer(self.item, dtype="<f4")

    @property
    def text_vector(self) -> npt.NDArray[np.float32]:
        """(384,)"""
        return np.frombuffer(self.text, dtype="<f4")


class FilmChange(Struct, frozen=True):
    """One film that is not as it was."""

    record: FilmRecord
    vectors: FilmVectors | None
    """None when the release that asks has none of it yet."""


class CatalogueState(NamedTuple):
    """Where a store of films stands."""

    epoch: str
    """Another one after the store was emptied; "" while it has never held anything."""
    revision: int
    """Grows with every change; 0 = there was none."""


UNKNOWN = CatalogueState("?", -1)
"""Of somebody who has not looked yet."""


class FilmChanges(Struct, frozen=True):
    """What happened after some state."""

    state: CatalogueState
    """The present one."""
    changes: list[FilmChange]
    """In the order of their last change."""
    from_start: bool
    """True: the store was emptied, or nothing was known; films that are not among the changes are not there."""


def pack(value: Any) -> bytes:
    """A record or vectors as bytes."""
    return msgspec.msgpack.encode(value)


def unpack_change(record: bytes, vectors: bytes | None) -> FilmChange:
    """What `pack` packed. Vectors of something else than the record says now count as none."""
    known = msgspec.msgpack.decode(record, type=FilmRecord)
    made = None if vectors is None else msgspec.msgpack.decode(vectors, type=FilmVectors)
    return FilmChange(known, made if made is not None and made.made_of == known.digest else None)


def digest_of(content: bytes) -> str:
    """16 bytes of BLAKE2b as text."""
    return hashlib.blake2b(content, digest_size=16).hexdigest()
