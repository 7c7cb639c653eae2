"""Accounts of people and API keys: their fields, and their store in Redis."""

from __future__ import annotations

import hashlib
import hmac
import logging
import secrets
from typing import Protocol, TypeVar

import msgspec

from bento.auth.callers import RoleName
from bento.stores.connection.redis_link import RedisLink
from bento.stores.redis_stores import key_tag

KEY_START = "mq"
"""The prefix of API keys, by which people and secret scanners recognise them."""


log = logging.getLogger("marquee.auth")

T = TypeVar("T")

API_KEYS = "marquee:keys"


class Account(msgspec.Struct, frozen=True):
    """A person who signs in with a password."""

    user_id: str
    password_hash: str
    """argon2id, with its salt and costs."""
    role: RoleName
    created_at_s: float


class ApiKey(msgspec.Struct, frozen=True):
    """The stored part of an API key, without its secret."""

    key_id: str
    name: str
    """What it is for, as its creator wrote."""
    role: RoleName
    secret_hash: str
    """SHA-256, which is enough for a long random secret."""
    user_id: str | None
    """The person whose data a key of role user gives access to."""
    per_minute: int | None
    """Requests per minute; None = the setting's."""
    created_at_s: float

    def opens_with(self, secret: str) -> bool:
        """Whether this is the key's secret."""
        return hmac.compare_digest(self.secret_hash, hashed(secret))


def new_key(
    name: str, role: RoleName, created_at_s: float, user_id: str | None = None, per_minute: int | None = None
) -> tuple[ApiKey, str]:
    """A new key and its text, which is shown only once."""
    key_id, secret = secrets.token_hex(6), secrets.token_urlsafe(32)
    key = ApiKey(key_id, name, role, hashed(secret), user_id, per_minute, created_at_s)
    return key, f"{KEY_START}_{key_id}_{secret}"


def split_key(text: str) -> tuple[str, str] | None:
    """Id and secret of a key's text; None when it is no API key."""
    start, _, rest = text.partition("_")
    key_id, _, secret = rest.partition("_")
    return (key_id, secret) if start == KEY_START and key_id and secret else None


def hashed(secret: str) -> str:
    """A secret as it is stored."""
    return hashlib.sha256(secret.encode()).hexdigest()


class Accounts(Protocol):
    """The store of accounts and keys. Every method may raise StoreUnavailable."""

    async def add(self, account: Account) -> bool:
        """Add an account; False when there is one of this name."""

    async def account(self, user_id: str) -> Account | None:
        """The account of a person."""

    async def remove(self, user_id: str) -> None:
        """Remove a person's account and their keys."""

    async def add_key(self, key: ApiKey) -> None:
        """Add an API key."""

    async def key(self, key_id: str) -> ApiKey | None:
        """An API key by its id."""

    async def keys(self) -> list[ApiKey]:
        """All API keys, oldest first."""

    async def revoke(self, key_id: str) -> bool:
        """Remove a key; False when there was none."""


class RedisAccounts:
    """See `Accounts`. `<prefix>:{<user>}:account` is one value, `API_KEYS` a hash of all API keys.

    Accounts belong to the people of one data set; keys are valid for every data set of a Redis.
    """

    def __init__(self, link: RedisLink, prefix: str) -> None:
        self._link = link
        self._prefix = prefix

    async def add(self, account: Account) -> bool:
        value = msgspec.json.encode(account)
        return bool(await self._link.run("SET", self._of(account.user_id), value, "NX"))

    async def account(self, user_id: str) -> Account | None:
        value = await self._link.run("GET", self._of(user_id))
        return _read(value, Account)

    async def remove(self, user_id: str) -> None:
        await self._link.run("DEL", self._of(user_id))
        for key in await self.keys():
            if key.user_id == user_id:
                await self.revoke(key.key_id)

    async def add_key(self, key: ApiKey) -> None:
        await self._link.run("HSET", API_KEYS, key.key_id, msgspec.json.encode(key))

    async def key(self, key_id: str) -> ApiKey | None:
        value = await self._link.run("HGET", API_KEYS, key_id)
        return _read(value, ApiKey)

    async def keys(self) -> list[ApiKey]:
        values = await self._link.run("HVALS", API_KEYS)
        keys = [key for value in values if (key := _read(value, ApiKey)) is not None]
        return sorted(keys, key=lambda key: key.created_at_s)

    async def revoke(self, key_id: str) -> bool:
        return bool(await self._link.run("HDEL", API_KEYS, key_id))

    def _of(self, user_id: str) -> str:
        return f"{self._prefix}:{{{key_tag(user_id)}}}:account"


def _read(value: bytes | None, kind: type[T]) -> T | None:
    """A stored value; None for a damaged one."""
    try:
        return None if value is None else msgspec.json.decode(value, type=kind)
    except msgspec.DecodeError as error:
        log.error("a stored %s cannot be read: %s", kind.__name__, error)
        return None
