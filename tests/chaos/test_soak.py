"""`make chaos`: the whole service at 70 % of its capacity, with Redis killed on the way, and its memory afterwards."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Iterator

import httpx
import pytest

from bento.stores.embedded_redis import EmbeddedRedis
from loadtest.soak import Soak
from tests.conftest import SampleRelease, Service, start_service

pytestmark = [pytest.mark.chaos, pytest.mark.integration, pytest.mark.redis]

SECONDS = float(os.environ.get("SOAK_S", "60"))

GROWTH_LIMIT = 0.05
"""Caches are full after the first quarter of an hour; in a minute they still fill, by some ten MiB of three hundred."""


@pytest.fixture
def own_service(sample_release: SampleRelease, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    running = start_service(sample_release, tmp_path_factory.mktemp("soak"))
    running.wait_until_ready()
    yield running
    running.stop()


@pytest.mark.timeout(SECONDS + 300)
def test_a_soak_leaves_memory_flat_and_fails_no_request(own_service: Service) -> None:
    soaked = asyncio.run(Soak(own_service.port, own_service.process.pid).run(SECONDS))
    print(
        f"\n{soaked.per_second:.0f} requests/s for {SECONDS:.0f} s: p50 {soaked.percentile_ms(50):.1f} ms, "
        f"p99 {soaked.percentile_ms(99):.1f} ms, memory {soaked.memory_mib[0]:.0f} -> {soaked.memory_mib[-1]:.0f} MiB"
    )
    assert soaked.failures == {}
    assert soaked.growth_ratio() < GROWTH_LIMIT


@pytest.mark.timeout(300)
def test_redis_may_be_killed_under_load_and_nothing_acknowledged_is_lost(own_service: Service) -> None:
    redis = EmbeddedRedis(own_service.home)

    async def kill_on_the_way() -> None:
        await asyncio.sleep(6)
        assert redis.pid is not None
        os.kill(redis.pid, signal.SIGKILL)

    async def both() -> dict[str, int]:
        soaked, _ = await asyncio.gather(
            Soak(own_service.port, own_service.process.pid).run(15, capacity_seconds=2), kill_on_the_way()
        )
        return soaked.failures

    assert asyncio.run(both()) == {}
    film = {"user_id": "after-the-crash", "item_id": 1, "event_type": "like"}
    told = httpx.post(f"{own_service.url}/events", json=film, timeout=10)
    assert told.status_code == 202
    known = httpx.get(f"{own_service.url}/people/after-the-crash", timeout=10).json()
    assert known["total_ratings"] == 1 or told.json()["stored_in"] == "spool"
