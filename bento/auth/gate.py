"""The gate before every route: who is calling, may they, and not too often.

Without Redis nobody is locked out who was let in before: tokens are believed by their signature alone, keys that were
seen lately as they were then, and requests are counted in memory.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import msgspec

from bento.auth.accounts import Accounts, ApiKey, split_key
from bento.auth.callers import ANONYMOUS, ROLE_NAMES, Caller, Role
from bento.auth.errors import CannotCheck, NotAllowed, NotSignedIn, TooManyRequests
from bento.auth.permissions import Access
from bento.auth.rate_limits import RateLimits
from bento.auth.tokens import Tokens, WrongToken
from bento.background import LruCache
from bento.stores.errors import StoreUnavailable

log = logging.getLogger("marquee.auth")

KEYS_REMEMBERED = 1_000


class _Named(msgspec.Struct):
    """Any JSON body, as far as it names a person."""

    user_id: Any = None


class Gate:
    """Lets callers in."""

    def __init__(self, accounts: Accounts, limits: RateLimits, tokens: Tokens, per_minute: int) -> None:
        self._accounts = accounts
        self._limits = limits
        self._tokens = tokens
        self._per_minute = per_minute
        self._recent_keys: LruCache[str, ApiKey] = LruCache(KEYS_REMEMBERED)

    async def admit(self, access: Access, headers: Mapping[str, str]) -> Caller:
        """Who is calling, if they may use what asks for `access`. What is public is for callers of any kind.

        Raises: NotSignedIn, NotAllowed, TooManyRequests, CannotCheck.
        """
        signed = _credential(headers)
        if access is None:
            return await self._perhaps(signed)
        if signed is None:
            raise NotSignedIn("sign in with POST /auth/login, or send an API key")
        caller, per_minute = await self._recognise(signed)
        wait_s = await self._limits.take(caller.name, per_minute)
        if wait_s:
            raise TooManyRequests(per_minute, wait_s)
        if caller.role < access:
            raise NotAllowed(f"this needs the role {access.name.lower()}, you have {caller.role.name.lower()}")
        return caller

    async def _perhaps(self, signed: str | None) -> Caller:
        try:
            return ANONYMOUS if signed is None else (await self._recognise(signed))[0]
        except (NotSignedIn, CannotCheck):  # an old token must not keep anybody from signing in
            return ANONYMOUS

    async def _recognise(self, signed: str) -> tuple[Caller, int]:
        """The caller and how many requests a minute are theirs."""
        parts = split_key(signed)
        if parts is not None:
            key = await self._key(*parts)
            per_minute = self._per_minute if key.per_minute is None else key.per_minute
            return Caller(f"key:{key.key_id}", ROLE_NAMES[key.role], key.user_id), per_minute
        try:
            token = self._tokens.read(signed)
        except WrongToken as error:
            raise NotSignedIn(f"the token is not accepted: {error}", "invalid_token") from None
        user_id, role = token.user_id, token.role
        try:
            account = await self._accounts.account(user_id)
            if account is None or account.created_at_s != token.account_made_at_s:
                raise NotSignedIn("the token's account is gone", "invalid_token")
            role = account.role
        except StoreUnavailable:
            log.debug("a token is believed by its signature")
        return Caller(f"user:{user_id}", ROLE_NAMES[role], user_id), self._per_minute

    async def _key(self, key_id: str, secret: str) -> ApiKey:
        try:
            key = await self._accounts.key(key_id)
            if key is None:
                self._recent_keys.drop(key_id)
        except StoreUnavailable:
            key = self._recent_keys.get(key_id)
            if key is None:
                raise CannotCheck from None
        if key is None or not key.opens_with(secret):
            raise NotSignedIn("the API key is not accepted: it was revoked, or never given", "invalid_token")
        self._recent_keys.put(key_id, key)
        return key


def check_person(caller: Caller, path_values: Mapping[str, str], query: Mapping[str, str], body: bytes) -> None:
    """A USER may name nobody but themselves, wherever a request names a person. Raises: NotAllowed."""
    if caller.role is not Role.USER or not caller.is_known:
        return
    named = [path_values.get("user_id"), query.get("user_id"), _in_body(body)]
    for person in named:
        if person is not None and str(person) != caller.person:
            raise NotAllowed("you may ask only for yourself; other people's data need the role service")


def _in_body(body: bytes) -> Any:
    if not body:
        return None
    try:
        return msgspec.json.decode(body, type=_Named).user_id
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):  # no JSON object: it names nobody
        return None


def _credential(headers: Mapping[str, str]) -> str | None:
    """The token or key that a request is signed with, from `Authorization: Bearer` or `X-API-Key`."""
    given = headers.get("x-api-key")
    if given is None:
        scheme, _, given = headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            return None
    return given.strip() or None
