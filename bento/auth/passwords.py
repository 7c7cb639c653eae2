"""Passwords: argon2id with the library's default costs (64 MiB, some 50 ms), in threads beside the event loop."""

from __future__ import annotations

import asyncio
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from argon2 import PasswordHasher

AT_A_TIME = 2
"""Hashes computed at the same time: each takes a core and 64 MiB."""


class Passwords:
    """Hashes and checks passwords."""

    def __init__(self) -> None:
        self._seats = asyncio.Semaphore(AT_A_TIME)

    async def hashed(self, password: str) -> str:
        """The hash of a password, as it is stored."""
        async with self._seats:
            return await asyncio.to_thread(_hasher().hash, password)

    async def fits(self, password_hash: str | None, password: str) -> bool:
        """Whether the password matches. Without a hash it takes as long, so that timing does not reveal which names
        exist."""
        async with self._seats:
            matches = await asyncio.to_thread(_matches, password_hash or _placeholder_hash(), password)
        return matches and bool(password_hash)


@cache
def _hasher() -> PasswordHasher:
    from argon2 import PasswordHasher  # imported when needed, as it is slow to import

    return PasswordHasher()


@cache
def _placeholder_hash() -> str:
    return _hasher().hash("placeholder")


def _matches(password_hash: str, password: str) -> bool:
    from argon2.exceptions import InvalidHashError, VerificationError

    try:
        return _hasher().verify(password_hash, password)
    except (VerificationError, InvalidHashError):
        return False
