"""Films that were added, changed or removed since the release, as they are stored.

The record of a film outlives releases; its vectors come from the encoders of one release and belong to that.
"""

from __future__ import annotations

import hashlib
from typing import Any, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt
from msgspec import Struct

from features.catalog import Film
from features.ids import Id

FILM_LIMIT = 20_000
"""Added films; beyond it a new release is due: they are searched one by one, and kept in each worker's memory."""


FIRST_NEW_ID = 900_000_000
"""The first movie_id for films added without one: far above MovieLens' own."""


class FilmRecord(Struct, frozen=True):
    """One film that was added, changed or removed."""

    movie_id: Id
    film: Film | None = None
    """None: a film of the release, of which only `hidden` is stored."""
    hidden: bool = False
    poster: str = ""
    """Digest of its poster; "" when it has none."""

    @property
    def digest(self) -> str:
        """Changes with every input of the vectors."""
        return digest_of(msgspec.msgpack.encode((self.film, self.poster)))


class FilmVectors(Struct, frozen=True):
    """The vectors of a film by a release's encoders, as little-endian float32."""

    made_of: str
    """`FilmRecord.digest` of their inputs."""
    item: bytes
    """(D,) in the fused space."""
    text: bytes
    """(384,) output of the text encoder."""

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
    """One changed film."""

    record: FilmRecord
    vectors: FilmVectors | None
    """None when the reading release has not encoded it yet."""


class CatalogueState(NamedTuple):
    """The version of a store of films."""

    epoch: str
    """Changes when the store is emptied; "" while it has never held a film."""
    revision: int
    """Increases with every change; 0 = there was none."""


UNKNOWN = CatalogueState("?", -1)
"""The state of a worker that has not read the store yet."""


class FilmChanges(Struct, frozen=True):
    """The changes after a state."""

    state: CatalogueState
    """The present one."""
    changes: list[FilmChange]
    """In the order of their last change."""
    from_start: bool
    """True: the changes are all films of the store, since it was emptied or the given state was unknown."""


def pack(value: Any) -> bytes:
    """A record or vectors as bytes."""
    return msgspec.msgpack.encode(value)


def unpack_change(record: bytes, vectors: bytes | None) -> FilmChange:
    """Unpack what `pack` packed. Vectors of an older version of the record count as none."""
    read = msgspec.msgpack.decode(record, type=FilmRecord)
    made = None if vectors is None else msgspec.msgpack.decode(vectors, type=FilmVectors)
    return FilmChange(read, made if made is not None and made.made_of == read.digest else None)


def digest_of(content: bytes) -> str:
    """16 bytes of BLAKE2b as text."""
    return hashlib.blake2b(content, digest_size=16).hexdigest()
