"""Passwords: argon2id with the library's own costs (64 MiB, some 50 ms), away from the event loop."""

from __future__ import annotations

import asyncio
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from argon2 import PasswordHasher

AT_A_TIME = 2
"""Hashes at once: each takes a core and 64 MiB."""


class Passwords:
    """Hashes and checks."""

    def __init__(self) -> None:
        self._seats = asyncio.Semaphore(AT_A_TIME)

    async def hashed(self, password: str) -> str:
        """A password as it is kept."""
        async with self._seats:
            return await asyncio.to_thread(_hasher().hash, password)

    async def fits(self, password_hash: str | None, password: str) -> bool:
        """Whether it is the password. Without a hash it takes as long, so that nobody learns which names exist."""
        async with self._seats:
            return await asyncio.to_thread(_fits, password_hash or _nobodys_hash(), password) and bool(password_hash)


@cache
def _hasher() -> PasswordHasher:
    from argon2 import PasswordHasher  # only who signs in needs it, not the start

    return PasswordHasher()


@cache
def _nobodys_hash() -> str:
    return _hasher().hash("nobody's")


def _fits(password_hash: str, password: str) -> bool:
    from argon2.exceptions import InvalidHashError, VerificationError

    try:
        return _hasher().verify(password_hash, password)
    except (VerificationError, InvalidHashError):
        return False
