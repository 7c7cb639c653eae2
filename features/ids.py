"""Ids of people and items: text, as the data have it.

In memory and in JSON an id is a number where the number says exactly what the text says (`"318"`), and text otherwise
(`"000318"`, `"tt0111161"`, a UUID). The two forms of one id are equal after `id_of`, and two ids that differ stay two.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

Id = int | str
"""An id as `id_of` gives it."""

LENGTH_LIMIT = 128
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


class IdTable:
    """Ids in row order, looked up by either form or by key.

    Raises ValueError when two are the same.
    """

    def __init__(self, ids: Iterable[Id]) -> None:
        self.ids: tuple[Id, ...] = tuple(ids)
        self._row_of = {identity: row for row, identity in enumerate(self.ids)}
        self._row_of_key = _by_key(self._row_of)
        if not len(self.ids) == len(self._row_of) == len(self._row_of_key):
            raise ValueError(f"there are {len(self.ids)} ids but only {len(self._row_of_key)} distinct ones")

    def __len__(self) -> int:
        return len(self.ids)

    def extended(self, ids: Sequence[Id]) -> IdTable:
        """A table with more ids appended; much cheaper than building a new one.

        Raises ValueError when two are the same.
        """
        longer = IdTable.__new__(IdTable)
        longer.ids = (*self.ids, *ids)
        more = {identity: len(self) + at for at, identity in enumerate(ids)}
        longer._row_of = self._row_of | more
        longer._row_of_key = self._row_of_key | _by_key(more)
        if not len(longer.ids) == len(longer._row_of) == len(longer._row_of_key):
            raise ValueError("an id is in the table already")
        return longer

    def row_of(self, given: int | str) -> int | None:
        """Row of an id in either form; None where the table does not hold it."""
        return self._row_of.get(id_of(given))

    def row_of_key(self, key: int) -> int | None:
        """Row of the id of that key; None where the table does not hold it."""
        return self._row_of_key.get(key)


def _by_key(row_of: dict[Id, int]) -> dict[int, int]:
    return {key_of(identity): row for identity, row in row_of.items()}
