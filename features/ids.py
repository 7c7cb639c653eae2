"""Ids of people and items: text, as the data have it.

In memory and in JSON an id is a number where the number says exactly what the text says (`"318"`), and text otherwise
(`"000318"`, `"tt0111161"`, a UUID). The two forms of one id are equal after `id_of`, and two ids that differ stay two.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Id = int | str
"""An id as `id_of` gives it."""

ID_LENGTH_LIMIT = 128
"""Characters of an id; data and requests with longer ones are refused."""

_NUMBERS_BELOW = 2**53
"""JSON readers that hold numbers as doubles, JavaScript's among them, change larger ones."""

_NUMBER = re.compile(r"0|-?[1-9][0-9]{0,15}", re.ASCII)
_HASH_BITS = 62


def id_of(given: int | str) -> Id:
    """The one form of an id: `"318"` and 318 → 318; `"000318"` and `9007199254740993` → text."""
    if isinstance(given, str):
        if not _NUMBER.fullmatch(given):
            return given
        given = int(given)
    return given if abs(given) < _NUMBERS_BELOW else str(given)


def id_order(identity: Id) -> tuple[bool, int, str]:
    """Sorting key: numbers by their size, then texts by alphabet."""
    return (True, 0, identity) if isinstance(identity, str) else (False, identity, "")


def key_of(identity: Id) -> int:
    """An id as a number of 64 bits, for records of fixed size: numbers as they are, texts by a hash.

    A key tells ids of one `IdTable` apart, which refuses two of one key.
    """
    if isinstance(identity, int):
        return identity
    digest = hashlib.blake2b(identity.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return -(1 << _HASH_BITS) - (int.from_bytes(digest, "little") >> (64 - _HASH_BITS))


def id_column(ids: Sequence[Id]) -> npt.NDArray[np.int64] | npt.NDArray[np.str_]:
    """Ids as a column of a table: int64 where all are numbers, else text."""
    if all(isinstance(identity, int) for identity in ids):
        return np.array(ids, dtype=np.int64)
    return np.array([str(identity) for identity in ids])


@dataclass(frozen=True, slots=True)
class IdTable:
    """Ids in row order, looked up by either form or by key."""

    rows: Mapping[Id, int]
    """id → row, in row order."""
    rows_by_key: Mapping[int, int]
    """`key_of` an id → row."""

    @classmethod
    def of(cls, ids: Iterable[Id]) -> IdTable:
        """The ids in that order. Raises ValueError when two are the same."""
        return cls({}, {}).extended(ids)

    def extended(self, ids: Iterable[Id]) -> IdTable:
        """A table with more ids appended. Raises ValueError when two are the same."""
        added = tuple(ids)
        more = {identity: len(self) + at for at, identity in enumerate(added)}
        rows = {**self.rows, **more}
        by_key = {**self.rows_by_key, **{key_of(identity): row for identity, row in more.items()}}
        if not len(self) + len(added) == len(rows) == len(by_key):
            raise ValueError(f"there are {len(self) + len(added)} ids but only {len(by_key)} distinct ones")
        return IdTable(rows, by_key)

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def ids(self) -> tuple[Id, ...]:
        """The ids by row."""
        return tuple(self.rows)

    def row_of(self, given: int | str) -> int | None:
        """Row of an id in either form; None where the table does not hold it."""
        return self.rows.get(id_of(given))

    def row_of_key(self, key: int) -> int | None:
        """Row of the id of that key; None where the table does not hold it."""
        return self.rows_by_key.get(key)
