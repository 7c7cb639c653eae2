"""The whole service on a Redis Cluster of three nodes: what it keeps there, and what a flush or a lost node costs."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator

import httpx
import pytest
import redis

from tests.recommender import live_world
from tests.serving.service_process import START_LIMIT_S, Served, start
from tests.stores.redis_cluster import RedisCluster

pytestmark = pytest.mark.redis


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisCluster]:
    cluster = RedisCluster(tmp_path_factory.mktemp("cluster"))
    with cluster:
        yield cluster


@pytest.fixture(scope="module")
def served(cluster: RedisCluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    repository = tmp_path_factory.mktemp("live") / "model_repository"
    live_world.write_repository(repository)
    running = start(repository, tmp_path_factory.mktemp("home"), REDIS_URL=cluster.url, REDIS_TIMEOUT_MS="2000")
    yield running
    running.process.terminate()
    running.process.communicate(timeout=START_LIMIT_S)


def event(served: Served, user_id: str, movie_id: int) -> str:
    said = {"user_id": user_id, "item_id": movie_id, "event_type": "like"}
    answer = httpx.post(f"{served.url}/events", json=said, timeout=30).json()
    assert answer["status"] == "accepted", answer
    stored_in: str = answer["stored_in"]
    return stored_in


def test_answers_events_and_added_films_live_on_the_cluster(served: Served, cluster: RedisCluster) -> None:
    for person in range(20):  # over all nodes
        assert event(served, f"somebody {person}", 202) == "redis"
        first = served.recommend(user_id=f"somebody {person}", top_k=3)
        assert [film["movie_id"] for film in first["recommendations"]] == [200, 201, 203]
        assert event(served, f"somebody {person}", 300) == "redis"
        assert served.recommend(user_id=f"somebody {person}", top_k=3)["recommendations"] != first["recommendations"]
    asked = {"user_id": "somebody 3", "top_k": 4}
    served.recommend(**asked)
    assert served.recommend(**asked)["cached"]
    film = {"title": "Clouds", "genres": ["War"]}
    added = httpx.post(f"{served.url}/admin/movies", json=film, timeout=30)
    assert added.status_code == 201, added.text
    assert added.json()["movie"]["movie_id"] in [
        one["movie_id"] for one in served.recommend(history=[400], top_k=10)["recommendations"]
    ]
    used = [redis.Redis(port=port).dbsize() for port in cluster.ports]
    assert all(keys > 5 for keys in used), used


async def test_no_request_fails_while_the_cluster_is_flushed(served: Served, cluster: RedisCluster) -> None:
    statuses: Counter[int] = Counter()
    stop = asyncio.Event()

    async def somebody(client: httpx.AsyncClient, name: str) -> None:
        while not stop.is_set():
            response = await client.post(f"{served.url}/recommend", json={"user_id": name, "history": [202]})
            statuses[response.status_code] += 1
            assert response.json()["recommendations"]

    async with httpx.AsyncClient(timeout=30) as client:
        people = [asyncio.create_task(somebody(client, f"person {n}")) for n in range(4)]
        for _ in range(3):
            for port in cluster.ports:
                await asyncio.to_thread(redis.Redis(port=port).flushall)
            seen = sum(statuses.values())
            async with asyncio.timeout(30):
                while sum(statuses.values()) < seen + 20:
                    await asyncio.sleep(0.02)
        stop.set()
        await asyncio.gather(*people)
        # The catalogue is the release's again: what Redis held of it is gone.
        async with asyncio.timeout(30):
            while (await client.get(f"{served.url}/admin/movies")).json()["added"]:
                await asyncio.sleep(0.05)
    assert set(statuses) == {200}
    assert event(served, "after the flush", 202) == "redis"


async def test_a_lost_node_costs_no_answer_and_no_event(served: Served, cluster: RedisCluster) -> None:
    cluster.kill(2)
    async with httpx.AsyncClient(timeout=30) as client:
        for person in range(12):
            asked = {"user_id": f"stranger {person}", "history": [400, 401], "top_k": 3}
            response = await client.post(f"{served.url}/recommend", json=asked)
            assert response.status_code == 200
            assert [film["movie_id"] for film in response.json()["recommendations"]] == [402, 403, 404]
            said = {"user_id": f"stranger {person}", "item_id": 402, "event_type": "view"}
            assert (await client.post(f"{served.url}/events", json=said)).status_code == 202
