"""Opening Redis as the settings say."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from bento.settings import Settings
from bento.stores.connection.embedded_redis import EmbeddedRedis, listens
from bento.stores.connection.opening import open_redis
from bento.stores.errors import StoreUnavailable

pytestmark = pytest.mark.redis


async def test_without_an_address_the_embedded_redis_runs_as_long_as_it_is_open(tmp_path: Path) -> None:
    embedded = EmbeddedRedis(tmp_path)
    async with open_redis(Settings(home=tmp_path)) as link:
        assert await link.run("PING")
        assert listens(embedded.socket_path)
    assert not listens(embedded.socket_path)


async def test_with_an_address_no_embedded_redis_is_started(redis: EmbeddedRedis, tmp_path: Path) -> None:
    home = tmp_path / "another home"
    async with open_redis(Settings(home=home, redis_url=redis.url)) as link:
        assert await link.run("PING")
        assert not (home / "redis").exists()
    assert listens(redis.socket_path)


@pytest.mark.parametrize("timeout_s", [None, 0.05])
async def test_a_hung_redis_is_given_up_after_the_timeout_and_said_to_be_lost(
    redis: EmbeddedRedis, timeout_s: float | None
) -> None:
    changes: list[bool] = []
    settings = Settings(redis_url=redis.url, redis_timeout_ms=50 if timeout_s is None else 60_000)
    assert redis.pid is not None
    async with open_redis(settings, changes.append, timeout_s) as link:
        os.kill(redis.pid, signal.SIGSTOP)
        try:
            with pytest.raises(StoreUnavailable, match="TimeoutError"):
                await link.run("PING")
        finally:
            os.kill(redis.pid, signal.SIGCONT)
    assert changes[0] is False
