"""The whole service on a Redis that evicts people, writes nothing to disk or is full: where it says so."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from tests.recommender import live_world
from tests.serving.service_process import START_LIMIT_S, Served, start
from tests.stores.redis_server import RedisServer

pytestmark = [pytest.mark.integration, pytest.mark.redis]


@pytest.fixture(scope="module")
def forgetful(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with RedisServer(tmp_path_factory.mktemp("redis"), save="", appendonly="no") as server:
        server.client.config_set("maxmemory-policy", "allkeys-lru")
        yield server


@pytest.fixture(scope="module")
def served(forgetful: RedisServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    repository = tmp_path_factory.mktemp("live") / "model_repository"
    live_world.write_repository(repository)
    running = start(repository, tmp_path_factory.mktemp("home"), REDIS_URL=forgetful.url)
    yield running
    if running.process.poll() is None:
        running.process.terminate()
        running.process.communicate(timeout=START_LIMIT_S)


def like(served: Served, user_id: str) -> str:
    said = {"user_id": user_id, "item_id": 202, "event_type": "like"}
    stored_in: str = httpx.post(f"{served.url}/events", json=said, timeout=30).json()["stored_in"]
    return stored_in


def alerts(served: Served) -> dict[str, str]:
    return {alert["name"]: alert["message"] for alert in served.get("/monitor").json()["alerts"]}


def test_health_and_monitor_name_what_redis_may_lose(served: Served) -> None:
    health = served.get("/health").json()
    assert (health["status"], health["redis"], health["redis_data"]) == ("ok", "ok", "may_be_lost")
    assert "maxmemory-policy allkeys-lru" in health["redis_warnings"][0]
    assert "writes nothing to disk" in health["redis_warnings"][1]
    assert set(alerts(served)) == {"redis:eviction_policy", "redis:persistence"}
    assert "recsys_redis_may_lose_data 1.0" in served.get("/metrics").text.replace("{}", "")


def test_evicted_people_are_an_alert(served: Served, forgetful: RedisServer) -> None:
    assert like(served, "one of many") == "redis"
    forgetful.limit_memory("allkeys-lru", more_bytes=300_000)
    for number in range(100):  # a megabyte; 300 kB are free
        forgetful.client.set(f"other {number}", b"x" * 10_000)
    message = alerts(served)["redis:evictions"]
    assert message.startswith("Redis evicted ")
    assert served.get("/monitor").json()["redis"]["evicted_keys"] > 0


def test_health_says_that_writes_fail_and_that_they_are_taken_again(served: Served, forgetful: RedisServer) -> None:
    forgetful.fill("noeviction")
    assert like(served, "somebody new") == "spool"
    health = served.get("/health").json()
    assert (health["status"], health["redis"]) == ("ok", "writes_fail")
    assert health["redis_warnings"][-1].startswith("Redis refuses writes, events wait on disk")
    assert "redis:writes" in alerts(served)
    forgetful.client.config_set("maxmemory", 0)
    served.get("/monitor")  # looks at Redis
    assert served.get("/health").json()["redis"] == "ok"


def test_the_log_names_it_at_the_start(served: Served) -> None:
    served.process.terminate()
    output = served.process.communicate(timeout=START_LIMIT_S)[0].decode()
    started = output[: output.index("ready in")]
    assert "Redis evicts any key when its memory is full" in started
    assert "Redis writes nothing to disk" in started
