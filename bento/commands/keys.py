"""`python -m bento keys`: API keys, made and revoked in the Redis that the service uses (same settings)."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Annotated, TypeVar

import typer
from rich.console import Console
from rich.table import Table

from bento.auth.accounts import Accounts, RedisAccounts, new_key
from bento.auth.callers import RoleName
from bento.settings import Settings, WrongSetting
from bento.stores.connection.opening import open_redis
from bento.stores.errors import StoreUnavailable

keys = typer.Typer(help="Make, list and revoke API keys.", no_args_is_help=True)

T = TypeVar("T")


@keys.command()
def create(
    name: Annotated[str, typer.Argument(help="What the key is for.")],
    role: Annotated[RoleName, typer.Option(help="What the key's holder may do.")] = "service",
    user_id: Annotated[str | None, typer.Option(help="The one person that a key of role user may ask for.")] = None,
    per_minute: Annotated[
        int | None, typer.Option(help="Requests a minute, 0 = any number; else RATE_LIMIT_PER_MINUTE.", min=0)
    ] = None,
) -> None:
    """Make a key and print it, this once; only its hash is kept."""
    if (role == "user") != (user_id is not None):
        raise typer.BadParameter("a key of role user needs --user-id, others take none", param_hint="--user-id")
    key, text = new_key(name, role, time.time(), user_id, per_minute)
    _run(lambda accounts: accounts.add_key(key))
    typer.echo(text)


@keys.command("list")
def list_keys() -> None:
    """Show the keys, oldest first; never their secrets."""
    table = Table("id", "name", "role", "person", "a minute", "made")
    for key in _run(lambda accounts: accounts.keys()):
        made = datetime.fromtimestamp(key.created_at_s, UTC).strftime("%Y-%m-%d %H:%M")
        per_minute = "" if key.per_minute is None else str(key.per_minute)
        table.add_row(key.key_id, key.name, key.role, key.user_id or "", per_minute, made)
    Console().print(table)


@keys.command()
def revoke(key_id: Annotated[str, typer.Argument(help="The id that `list` shows.")]) -> None:
    """Make a key worthless from the next request on."""
    if not _run(lambda accounts: accounts.revoke(key_id)):
        typer.echo(f"there is no key {key_id}; `python -m bento keys list` shows them", err=True)
        raise typer.Exit(1)
    typer.echo(f"{key_id} is revoked")


def _run(ask: Callable[[Accounts], Awaitable[T]]) -> T:
    """Ask the service's Redis; ends the command in one line when it does not answer."""

    async def asked() -> T:
        async with open_redis(Settings.from_env(os.environ)) as link:
            return await ask(RedisAccounts(link, "marquee"))

    try:
        return asyncio.run(asked())
    except (StoreUnavailable, WrongSetting) as error:
        typer.echo(f"marquee: {error}", err=True)
        raise typer.Exit(1) from None
