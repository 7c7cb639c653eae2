"""Accounts in the memory of the test's process. They pass the same tests as those on Redis."""

from __future__ import annotations

from bento.auth.accounts import Account, ApiKey


class MemoryAccounts:
    """See `Accounts`."""

    def __init__(self) -> None:
        self._accounts: dict[str, Account] = {}
        self._keys: dict[str, ApiKey] = {}

    async def add(self, account: Account) -> bool:
        return self._accounts.setdefault(account.user_id, account) is account

    async def account(self, user_id: str) -> Account | None:
        return self._accounts.get(user_id)

    async def remove(self, user_id: str) -> None:
        self._accounts.pop(user_id, None)
        self._keys = {key_id: key for key_id, key in self._keys.items() if key.user_id != user_id}

    async def add_key(self, key: ApiKey) -> None:
        self._keys[key.key_id] = key

    async def key(self, key_id: str) -> ApiKey | None:
        return self._keys.get(key_id)

    async def keys(self) -> list[ApiKey]:
        return sorted(self._keys.values(), key=lambda key: key.created_at_s)

    async def revoke(self, key_id: str) -> bool:
        return self._keys.pop(key_id, None) is not None
