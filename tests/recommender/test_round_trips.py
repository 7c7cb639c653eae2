"""What one request costs Redis: one round trip, to one node, whatever is behind the address."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
import redis
from redis.asyncio import Redis
from redis.asyncio.cluster import RedisCluster as RedisClusterClient

from bento.recommender.pipeline import Stores
from bento.stores.connection.circuit_breaker import CircuitBreaker
from bento.stores.connection.embedded_redis import EmbeddedRedis
from bento.stores.connection.redis_link import RedisLink, connect
from bento.stores.person import WatchEvent
from bento.stores.redis_stores import RedisFeatureStore, RedisResponseCache
from tests.recommender.world import World
from tests.stores.redis_cluster import RedisCluster
from tests.stores.redis_traffic import record_pipelines

pytestmark = pytest.mark.redis

TIMEOUT_S = 5.0


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisCluster]:
    cluster = RedisCluster(tmp_path_factory.mktemp("cluster"))
    with cluster:
        yield cluster


@pytest.fixture(params=["single", "cluster"])
async def client(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Redis | RedisClusterClient]:
    embedded = EmbeddedRedis(tmp_path)
    if request.param == "single":
        await embedded.open()
        url = embedded.url
    else:
        url = request.getfixturevalue("cluster").url
    yield connect(url, TIMEOUT_S)
    await embedded.close()


@pytest.fixture
async def link(client: Redis | RedisClusterClient) -> AsyncIterator[RedisLink]:
    link = RedisLink(client, TIMEOUT_S, CircuitBreaker(1.0))
    yield link
    await link.close()


@pytest.fixture
def world(make_world: Callable[..., World], link: RedisLink) -> World:
    return make_world(stores=Stores(RedisFeatureStore(link, "test"), RedisResponseCache(link, "test")))


@pytest.fixture
def sends(client: Redis | RedisClusterClient) -> list[list[str]]:
    return record_pipelines(client)


async def test_a_cached_answer_costs_one_round_trip(world: World, sends: list[list[str]]) -> None:
    await world.ask('{"user_id": "ann"}')
    sends.clear()
    assert (await world.ask('{"user_id": "ann"}')).cached
    assert [sorted(commands) for commands in sends] == [["GET", "HGET"]]


async def test_a_computed_answer_waits_for_one_round_trip(world: World, sends: list[list[str]]) -> None:
    """Nobody waits for the second one, which keeps the answer."""
    assert not (await world.ask('{"user_id": "bob", "history": [202]}')).cached
    assert [sorted(commands) for commands in sends] == [["GET", "HGET"], ["EVAL"]]


async def test_an_event_costs_the_feature_store_one_round_trip(link: RedisLink, sends: list[list[str]]) -> None:
    await RedisFeatureStore(link, "test").append("ann", [WatchEvent(202, 4.0, 1)], "key")
    assert sends == [["EVAL"]]


async def test_what_one_request_asks_for_is_on_one_node(cluster: RedisCluster) -> None:
    link = RedisLink(connect(cluster.url, TIMEOUT_S), TIMEOUT_S, CircuitBreaker(1.0))
    features, answers = RedisFeatureStore(link, "test"), RedisResponseCache(link, "test")
    nodes = [redis.Redis(port=port) for port in cluster.ports]
    used = set()
    for person in range(30):
        for node in nodes:
            node.config_resetstat()
        await features.read(f"person {person}")
        await answers.get(f"person {person}", "question")
        touched = [
            n for n, node in enumerate(nodes) if {"cmdstat_get", "cmdstat_hget"} & set(node.info("commandstats"))
        ]
        assert len(touched) == 1
        used.add(touched[0])
    assert used == {0, 1, 2}  # people are spread over all of them
    await link.close()
