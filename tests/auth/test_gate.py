"""The gate with Redis away, and what a request names."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import pytest

from bento.auth.accounts import Account, ApiKey, new_key
from bento.auth.callers import Caller, Role
from bento.auth.errors import CannotCheck, NotAllowed, NotSignedIn, TooManyRequests
from bento.auth.gate import Gate, check_person
from bento.auth.rate_limits import MemoryRateLimits
from bento.auth.setup import is_loopback, make_auth
from bento.auth.tokens import Tokens
from bento.settings import Settings
from bento.stores.errors import StoreUnavailable
from tests.auth.memory_accounts import MemoryAccounts

TOKENS = Tokens("s" * 32)
ANN = Caller("user:ann", Role.USER, "ann")


class Switch(MemoryAccounts):
    """Accounts that can be told to be away."""

    away = False

    async def key(self, key_id: str) -> ApiKey | None:
        self._check()
        return await super().key(key_id)

    async def account(self, user_id: str) -> Account | None:
        self._check()
        return await super().account(user_id)

    def _check(self) -> None:
        if self.away:
            raise StoreUnavailable("it was shot")


@pytest.fixture
def accounts() -> Switch:
    return Switch()


@pytest.fixture
def gate(accounts: Switch) -> Gate:
    return Gate(accounts, MemoryRateLimits(lambda: 0), TOKENS, per_minute=100)


def bearer(text: str) -> dict[str, str]:
    return {"authorization": f"Bearer {text}"}


async def test_a_key_is_taken_from_either_header(accounts: Switch, gate: Gate) -> None:
    key, text = new_key("shop", "service", 0)
    await accounts.add_key(key)
    for headers in (bearer(text), {"authorization": f"bearer  {text}"}, {"x-api-key": text}):
        assert await gate.admit(Role.SERVICE, headers) == Caller(f"key:{key.key_id}", Role.SERVICE)


async def test_a_key_of_role_user_is_for_its_own_person(accounts: Switch, gate: Gate) -> None:
    key, text = new_key("app", "user", 0, user_id="ann")
    await accounts.add_key(key)
    caller = await gate.admit(Role.USER, bearer(text))
    assert caller == Caller(f"key:{key.key_id}", Role.USER, "ann")
    check_person(caller, {"user_id": "ann"}, {}, b"")
    with pytest.raises(NotAllowed):
        check_person(caller, {"user_id": "bob"}, {}, b"")


@pytest.mark.parametrize("headers", [{}, {"authorization": "Basic YTpi"}, {"authorization": "Bearer"}, bearer(" ")])
async def test_who_sends_nothing_is_not_signed_in(gate: Gate, headers: dict[str, str]) -> None:
    with pytest.raises(NotSignedIn) as refusal:
        await gate.admit(Role.USER, headers)
    assert refusal.value.headers() == {"www-authenticate": 'Bearer realm="marquee"'}


async def test_a_key_has_a_limit_of_its_own(accounts: Switch, gate: Gate) -> None:
    key, text = new_key("shop", "service", 0, per_minute=2)
    await accounts.add_key(key)
    for _ in range(2):
        await gate.admit(Role.USER, bearer(text))
    with pytest.raises(TooManyRequests, match="more than 2 requests a minute; come back in 30 s") as refusal:
        await gate.admit(Role.USER, bearer(text))
    assert refusal.value.headers() == {"retry-after": "30"}


async def test_a_revoked_key_opens_nothing_from_the_next_request_on(accounts: Switch, gate: Gate) -> None:
    key, text = new_key("shop", "service", 0)
    await accounts.add_key(key)
    await gate.admit(Role.USER, bearer(text))
    await accounts.revoke(key.key_id)
    for away in (False, True):
        accounts.away = away
        with pytest.raises((NotSignedIn, CannotCheck)):
            await gate.admit(Role.USER, bearer(text))


async def test_without_redis_known_keys_and_tokens_are_believed(accounts: Switch, gate: Gate) -> None:
    seen, text = new_key("shop", "service", 0)
    unseen, other_text = new_key("new shop", "service", 0)
    for key in (seen, unseen):
        await accounts.add_key(key)
    await gate.admit(Role.USER, bearer(text))
    accounts.away = True
    assert (await gate.admit(Role.SERVICE, bearer(text))).role is Role.SERVICE
    assert await gate.admit(Role.USER, bearer(TOKENS.issue("ann", "user"))) == ANN
    with pytest.raises(CannotCheck):
        await gate.admit(Role.USER, bearer(other_text))
    with pytest.raises(NotSignedIn):
        await gate.admit(Role.USER, bearer(text + "x"))


async def test_a_token_outlives_neither_its_account_nor_its_role(accounts: Switch, gate: Gate) -> None:
    token = TOKENS.issue("ann", "admin")
    with pytest.raises(NotSignedIn, match="account is gone"):
        await gate.admit(Role.USER, bearer(token))
    await accounts.add(Account("ann", "", "user", 0))
    with pytest.raises(NotAllowed, match="needs the role service, you have user"):
        await gate.admit(Role.SERVICE, bearer(token))


async def test_a_token_is_not_for_who_has_the_name_next(accounts: Switch, gate: Gate) -> None:
    await accounts.add(Account("ann", "", "user", 10.5))
    token = TOKENS.issue("ann", "user", 10.5)
    assert await gate.admit(Role.USER, bearer(token)) == ANN
    await accounts.remove("ann")
    await accounts.add(Account("ann", "", "user", 10.75))
    with pytest.raises(NotSignedIn, match="account is gone"):
        await gate.admit(Role.USER, bearer(token))


async def test_an_old_token_keeps_nobody_out_of_public_routes(gate: Gate) -> None:
    assert not (await gate.admit(None, bearer("old.old.old"))).is_known


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b"[]",
        b"not json",
        b'"ann"',
        b'{"user_id": null}',
        b'{"user_id": "ann"}',
        b'{"history": [1], "user_id":"ann"}',
        b'{"user_id": "bob", "user_id": "ann"}',
    ],
)
def test_a_user_may_name_themselves_or_nobody(body: bytes) -> None:
    check_person(ANN, {"user_id": "ann"}, {"user_id": "ann"}, body)


@pytest.mark.parametrize(
    ("path_values", "query", "body"),
    [
        ({"user_id": "bob"}, {}, b""),
        ({}, {"user_id": "bob"}, b""),
        ({}, {"user_id": ""}, b""),
        ({}, {}, b'{"user_id": "bob"}'),
        ({}, {}, b'{"user_id": "ann", "user_id": "bob"}'),
        ({}, {}, b'{"user_id": ["ann"]}'),
        ({}, {}, b'{"user_id": 7}'),
        ({"user_id": "ann"}, {}, b'{"user_id": "bob"}'),
    ],
)
def test_a_user_may_name_nobody_else(path_values: dict[str, str], query: dict[str, str], body: bytes) -> None:
    with pytest.raises(NotAllowed):
        check_person(ANN, path_values, query, body)


def test_a_person_is_the_same_as_number_and_as_text() -> None:
    check_person(Caller("user:7", Role.USER, "7"), {}, {}, b'{"user_id": 7}')


def test_a_service_may_name_anybody() -> None:
    check_person(Caller("key:1", Role.SERVICE), {"user_id": "bob"}, {}, b'{"user_id": "ann"}')


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "localhost"])
def test_a_loopback_address_is_for_this_machine_alone(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.1", "example"])
def test_other_addresses_are_not(host: str) -> None:
    assert not is_loopback(host)


def warnings_of(caplog: pytest.LogCaptureFixture, home: Path, host: str, auth: Literal["off", "on"]) -> list[str]:
    caplog.clear()
    make_auth(Settings(host=host, auth=auth, home=home), None, "test")  # type: ignore[arg-type]
    return [record.getMessage() for record in caplog.records]


def test_a_start_that_lets_other_machines_in_without_asking_warns(
    caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    (warning,) = warnings_of(caplog, tmp_path, "0.0.0.0", "off")
    assert warning.startswith("MARQUEE_HOST=0.0.0.0 lets other machines in and MARQUEE_AUTH is off")
    assert warnings_of(caplog, tmp_path, "0.0.0.0", "on") == []
    assert warnings_of(caplog, tmp_path, "127.0.0.1", "off") == []
