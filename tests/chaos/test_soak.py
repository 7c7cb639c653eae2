"""`make chaos`: the whole service at 70 % of its capacity, with Redis killed on the way, and its memory afterwards."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Iterator

import httpx
import pytest

from bento.stores.connection.embedded_redis import EmbeddedRedis
from loadtest.soak import Soak, state_in_words
from tests.conftest import SampleRelease, Service, start_service

pytestmark = [pytest.mark.chaos, pytest.mark.integration, pytest.mark.redis]

SECONDS = float(os.environ.get("SOAK_S", "60"))

KINDS = {
    "recommend", "wishes", "filtered", "event", "forget", "similar", "by title", "search", "fixed shape", "batch",
    "film",
}  # fmt: skip

LONG = SECONDS >= 600

BYTES_PER_REQUEST = {"worker": 50, "supervisor": 50, "redis": 600 if LONG else 1_100}
"""What may stay of each request after the warm-up. Any Python object that leaks is larger than 50 bytes. Redis is meant
to keep events for good and the newest hundred lists that each person was served: 400 bytes a request until everybody
has a hundred, 760 in the first minute. Answers that did not go when their time was up would be 1,200 more."""

WOBBLE_RATIO = 0.02 if LONG else 0.05
"""Of a process's memory: what comes and goes with garbage and fragments. In a minute caches still fill: 4,096 encoded
histories alone take some 20 MiB."""


@pytest.fixture
def own_service(sample_release: SampleRelease, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    # Answers live so briefly that the cache turns over many times: it is full, and flat, after the warm-up.
    home = tmp_path_factory.mktemp("soak")
    running = start_service(sample_release, home, CACHE_TTL_S="15", CACHE_STALE_S="5")
    running.wait_until_ready()
    yield running
    running.stop()


@pytest.mark.timeout(SECONDS + 300)
def test_a_soak_leaves_memory_flat_and_fails_no_request(own_service: Service) -> None:
    redis_pid = EmbeddedRedis(own_service.home).pid
    assert redis_pid is not None
    soak = Soak(own_service.port, own_service.process.pid, others={"redis": redis_pid}, tell=print)
    soaked = asyncio.run(soak.run(SECONDS))
    print(f"\n{soaked.per_second:.0f} requests/s for {SECONDS:.0f} s: {state_in_words(soaked)}")
    print(dict(soaked.answered))
    assert soaked.failures == {}
    assert set(soaked.answered) == KINDS
    for name, limit in BYTES_PER_REQUEST.items():
        series, grown = soaked.memory[name], soaked.grown_bytes_per_request(name)
        levels = ", ".join(f"{series.at(SECONDS * part / 15):.0f} MiB" for part in (2, 8, 15))
        print(f"{name}: {levels} after 2, 8 and 15 fifteenths; {grown:+.1f} bytes a request")
        assert grown < limit or series.growth_mib() < WOBBLE_RATIO * series.mib[-1], f"{name} grows"


@pytest.mark.timeout(300)
def test_redis_may_be_killed_under_load_and_nothing_acknowledged_is_lost(own_service: Service) -> None:
    redis = EmbeddedRedis(own_service.home)

    async def kill_on_the_way() -> None:
        await asyncio.sleep(8)
        assert redis.pid is not None
        os.kill(redis.pid, signal.SIGKILL)

    async def both() -> dict[str, int]:
        soak = Soak(own_service.port, own_service.process.pid)
        soaked, _ = await asyncio.gather(soak.run(15, capacity_seconds=2), kill_on_the_way())
        return {wrong: count for wrong, count in soaked.failures.items() if wrong != "forget 503"}

    assert asyncio.run(both()) == {}  # who asks to be forgotten just then is told to ask again
    film = {"user_id": "after-the-crash", "item_id": 1, "event_type": "like"}
    told = httpx.post(f"{own_service.url}/events", json=film, timeout=10)
    assert told.status_code == 202
    known = httpx.get(f"{own_service.url}/people/after-the-crash", timeout=10).json()
    assert known["total_ratings"] == 1 or told.json()["stored_in"] == "spool"
