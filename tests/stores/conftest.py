"""A real Redis per test, and the stores on it or in memory."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from redis.asyncio import Redis

from bento.stores.connection.circuit_breaker import CircuitBreaker
from bento.stores.connection.embedded_redis import EmbeddedRedis
from bento.stores.connection.redis_link import RedisLink, connect
from bento.stores.redis_stores import RedisEventLog, RedisFeatureStore, RedisResponseCache
from tests.stores.examples import REAL, Stores, Ticks
from tests.stores.memory_stores import MemoryEventLog, MemoryFeatureStore, MemoryResponseCache

from .redis_cluster import RedisCluster

TIMEOUT_S = 5.0
"""So long that a busy machine never trips the breaker; tests of the breaker set their own."""


@pytest.fixture
async def redis(tmp_path: Path) -> AsyncIterator[EmbeddedRedis]:
    server = EmbeddedRedis(tmp_path)
    await server.open()
    yield server
    await server.close()


@pytest.fixture
def client(redis: EmbeddedRedis) -> Redis:
    client = connect(redis.url, TIMEOUT_S)
    assert isinstance(client, Redis)
    return client


@pytest.fixture
async def link(client: Redis) -> AsyncIterator[RedisLink]:
    link = RedisLink(client, TIMEOUT_S, CircuitBreaker(retry_s=1.0))
    yield link
    await link.close()


@pytest.fixture(scope="session")
def cluster_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with RedisCluster(tmp_path_factory.mktemp("cluster")) as url:
        yield url


@pytest.fixture
async def cluster_link(cluster_url: str) -> AsyncIterator[RedisLink]:
    client = connect(cluster_url, TIMEOUT_S)
    await client.flushall(target_nodes="primaries")  # type: ignore[misc]
    link = RedisLink(client, TIMEOUT_S, CircuitBreaker(retry_s=1.0))
    yield link
    await link.close()


@pytest.fixture(params=["memory", *REAL])
def stores(request: pytest.FixtureRequest) -> Stores:
    if request.param == "memory":
        answers = MemoryResponseCache()
        return Stores(MemoryFeatureStore(answers, Ticks()), answers, MemoryEventLog())
    link = request.getfixturevalue(request.param)
    return Stores(
        RedisFeatureStore(link, "test", Ticks()), RedisResponseCache(link, "test"), RedisEventLog(link, "test")
    )
