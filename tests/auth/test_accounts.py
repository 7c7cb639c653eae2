"""Accounts and keys, in memory and in a real Redis; passwords and tokens."""

from __future__ import annotations

import asyncio
import stat
from pathlib import Path

import jwt
import pytest

from bento.auth.accounts import API_KEYS, Account, Accounts, RedisAccounts, new_key, split_key
from bento.auth.passwords import Passwords
from bento.auth.tokens import SECRET_FILE, Signed, Tokens, WrongToken, own_secret
from bento.stores.connection.redis_link import RedisLink
from tests.auth.memory_accounts import MemoryAccounts

SECRET = "s" * 32


@pytest.fixture(params=["memory", pytest.param("link", marks=pytest.mark.redis)])
def accounts(request: pytest.FixtureRequest) -> Accounts:
    if request.param == "memory":
        return MemoryAccounts()
    return RedisAccounts(request.getfixturevalue("link"), "test")


async def test_a_name_is_given_once(accounts: Accounts) -> None:
    first, second = Account("ann", "hash", "user", 1.0), Account("ann", "other", "admin", 2.0)
    assert [await accounts.add(first), await accounts.add(second)] == [True, False]
    assert await accounts.account("ann") == first
    assert await accounts.account("bob") is None


async def test_a_forgotten_person_has_no_account_and_no_key_for_them(accounts: Accounts) -> None:
    await accounts.add(Account("ann", "hash", "user", 1.0))
    theirs, another = new_key("phone", "user", 1.0, "ann")[0], new_key("shop", "service", 2.0)[0]
    for key in (another, theirs):
        await accounts.add_key(key)
    assert await accounts.keys() == [theirs, another]
    await accounts.remove("ann")
    assert await accounts.account("ann") is None
    assert await accounts.keys() == [another]


async def test_a_revoked_key_is_gone(accounts: Accounts) -> None:
    key = new_key("shop", "service", 1.0)[0]
    await accounts.add_key(key)
    assert await accounts.key(key.key_id) == key
    assert [await accounts.revoke(key.key_id) for _ in range(2)] == [True, False]
    assert await accounts.key(key.key_id) is None


def test_a_key_is_kept_as_its_hash_alone() -> None:
    key, text = new_key("shop", "service", 1.0)
    key_id, secret = split_key(text) or ("", "")
    assert key_id == key.key_id
    assert len(secret) == 43  # 256 bits
    assert secret not in repr(key)
    assert key.opens_with(secret)
    assert not key.opens_with(secret[:-1])


@pytest.mark.parametrize("text", ["", "mq", "mq_", "mq_1", "mq__2", "no_1_2", "eyJhbGciOi.J9.x"])
def test_what_is_no_key_is_taken_for_none(text: str) -> None:
    assert split_key(text) is None


@pytest.mark.redis
async def test_a_key_that_was_altered_opens_nothing(link: RedisLink) -> None:
    await link.run("HSET", API_KEYS, "k", b"{")
    accounts = RedisAccounts(link, "test")
    assert await accounts.key("k") is None
    assert await accounts.keys() == []


async def test_a_password_fits_its_own_hash_alone() -> None:
    passwords = Passwords()
    password_hash = await passwords.hashed("correct horse")
    assert password_hash.startswith("$argon2id$")
    fits = [passwords.fits(password_hash, "correct horse"), passwords.fits(password_hash, "wrong horse")]
    assert await asyncio.gather(*fits, passwords.fits(None, "nobody's"), passwords.fits("no hash", "x")) == [
        True,
        False,
        False,
        False,
    ]


def test_a_token_names_its_person_until_it_expires() -> None:
    now_s = [1_000.0]
    tokens = Tokens(SECRET, 60, lambda: now_s[0])
    token = tokens.issue("ann ✿", "service", 7.25)
    assert tokens.read(token) == Signed("ann ✿", "service", 7.25)
    now_s[0] = 1_060
    with pytest.raises(WrongToken, match="expired"):
        tokens.read(token)


def forged(claims: dict[str, object], secret: str = SECRET, algorithm: str = "HS256") -> str:
    whole = {"iss": "marquee", "sub": "ann", "role": "admin", "exp": 2_000_000_000, "made": 0}
    return jwt.encode({name: value for name, value in (whole | claims).items() if value is not None}, secret, algorithm)


@pytest.mark.parametrize(
    "token",
    [
        "",
        "a.b.c",
        forged({}, secret="t" * 32),
        forged({}, secret="", algorithm="none"),
        forged({}, secret=SECRET * 2, algorithm="HS512"),
        forged({"iss": "somebody"}),
        forged({"exp": None}),
        forged({"sub": None}),
        forged({"role": None}),
        forged({"made": None}),
        forged({})[:-2],
    ],
)
def test_a_forged_token_is_refused(token: str) -> None:
    with pytest.raises(WrongToken):
        Tokens(SECRET, now_s=lambda: 1_000).read(token)


def test_the_secret_is_made_once_and_for_nobody_else(tmp_path: Path) -> None:
    home = tmp_path / "home"
    first = own_secret(home)
    assert len(first) >= 64
    assert own_secret(home) == first
    assert stat.S_IMODE((home / SECRET_FILE).stat().st_mode) == 0o600
    assert [path.name for path in home.iterdir()] == [SECRET_FILE]
