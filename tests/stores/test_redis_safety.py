"""Whether Redis keeps what it acknowledged, asked of real servers with other settings."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest
import redis

from bento.stores.connection.circuit_breaker import CircuitBreaker
from bento.stores.connection.redis_link import RedisLink, connect
from bento.stores.connection.redis_safety import EvictionCount, Primary, RedisSafety, persistence_of, report_of
from bento.stores.errors import StoreUnavailable
from bento.stores.redis_stores import RedisFeatureStore
from tests.stores.redis_cluster import RedisCluster
from tests.stores.redis_server import RedisServer

pytestmark = pytest.mark.redis

TIMEOUT_S = 5.0
VALUE = b"x" * 10_000


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., RedisServer]]:
    with ExitStack() as stack:
        yield lambda **options: stack.enter_context(RedisServer(tmp_path, **options))


@pytest.fixture
async def link_to() -> AsyncIterator[Callable[[str], RedisLink]]:
    links: list[RedisLink] = []

    def make(url: str) -> RedisLink:
        links.append(RedisLink(connect(url, TIMEOUT_S), TIMEOUT_S, CircuitBreaker(retry_s=1.0)))
        return links[-1]

    yield make
    for link in links:
        await link.close()


def forbid(server: RedisServer, *commands: str) -> None:
    """As servers do that somebody else manages."""
    server.client.acl_setuser("default", enabled=True, commands=[f"-{command}" for command in commands])


Start = Callable[..., RedisServer]
LinkTo = Callable[[str], RedisLink]


async def test_the_embedded_redis_keeps_what_it_is_given(link: RedisLink) -> None:
    report = await RedisSafety(link).look()
    assert (report.data, report.persistence, report.maxmemory_policy) == ("kept", "append_only_file", ["volatile-ttl"])
    assert report.warnings == []


async def test_a_redis_that_writes_nothing_to_disk_may_lose_everything(start: Start, link_to: LinkTo) -> None:
    server = start(save="", appendonly="no")
    report = await RedisSafety(link_to(server.url)).look()
    assert (report.data, report.persistence) == ("may_be_lost", "none")
    (warning,) = report.warnings
    assert warning.name == "persistence"
    assert "Set appendonly yes" in warning.message


@pytest.mark.parametrize("policy", ["allkeys-lru", "allkeys-lfu", "allkeys-random"])
async def test_a_policy_that_evicts_any_key_is_a_warning(start: Start, link_to: LinkTo, policy: str) -> None:
    server = start(appendonly="yes", maxmemory="100mb", maxmemory_policy=policy)
    report = await RedisSafety(link_to(server.url)).look()
    assert report.data == "may_be_lost"
    (warning,) = report.warnings
    assert warning.name == "eviction_policy"
    assert f"maxmemory-policy {policy}" in warning.message


@pytest.mark.parametrize("policy", ["noeviction", "volatile-lru", "volatile-ttl"])
async def test_a_policy_that_leaves_keys_without_expiry_alone_is_safe(
    start: Start, link_to: LinkTo, policy: str
) -> None:
    server = start(appendonly="yes", maxmemory="100mb", maxmemory_policy=policy)
    report = await RedisSafety(link_to(server.url)).look()
    assert (report.data, report.maxmemory_policy, report.warnings) == ("kept", [policy], [])


async def test_keys_evicted_since_the_start_are_counted(start: Start, link_to: LinkTo) -> None:
    server = start(appendonly="yes")
    server.limit_memory("allkeys-lru", more_bytes=300_000)
    for number in range(100):  # a megabyte; 300 kB are free
        server.client.set(f"before {number}", VALUE)
    evicted_before = server.client.info("stats")["evicted_keys"]
    assert evicted_before > 0
    safety = RedisSafety(link_to(server.url))
    assert (await safety.look()).evicted_keys == 0
    for number in range(100):
        server.client.set(f"after {number}", VALUE)
    report = await safety.look()
    assert report.evicted_keys is not None
    assert 0 < report.evicted_keys <= server.client.info("stats")["evicted_keys"] - evicted_before
    assert [warning.name for warning in report.warnings] == ["eviction_policy", "evictions"]


def test_evictions_are_counted_over_restarts_of_a_server() -> None:
    count = EvictionCount()
    for run_id, evicted in (("first", 10), ("first", 15), ("second", 2), ("second", 4)):
        count.note([Primary("", run_id=run_id, evicted_keys=evicted)])
    assert count.total == 5 + 4


@pytest.mark.parametrize("policy", ["noeviction", "volatile-ttl"])
async def test_writes_that_a_full_redis_refuses_are_told_until_it_takes_them(
    start: Start, link_to: LinkTo, policy: str
) -> None:
    server = start(appendonly="yes")
    link = link_to(server.url)
    safety, store = RedisSafety(link), RedisFeatureStore(link, "test")
    assert (await safety.look()).writes == "taken"
    server.fill(policy)
    with pytest.raises(StoreUnavailable):
        await store.forget("ann")
    assert safety.report().writes == "refused"  # without another look
    report = await safety.look()
    assert report.writes == "refused"
    assert (report.warnings[-1].name, report.data) == ("writes", "kept")
    assert "maxmemory" in report.warnings[-1].message
    server.client.config_set("maxmemory", 0)
    assert (await safety.look()).writes == "taken"


async def test_writes_that_a_replica_refuses_are_told(start: Start, link_to: LinkTo) -> None:
    server = start(appendonly="yes")
    link = link_to(server.url)
    safety = RedisSafety(link)
    server.client.replicaof("127.0.0.1", 1)
    with pytest.raises(StoreUnavailable):
        await link.run("SET", "key", "value")
    assert safety.report().writes == "refused"


async def test_a_server_that_forbids_config_is_known_by_its_append_only_file(start: Start, link_to: LinkTo) -> None:
    server = start(appendonly="yes")
    forbid(server, "config")
    assert (await RedisSafety(link_to(server.url)).look()).persistence == "append_only_file"


async def test_a_server_that_forbids_config_and_tells_of_no_file_is_unknown(
    start: Start, link_to: LinkTo, caplog: pytest.LogCaptureFixture
) -> None:
    server = start(appendonly="no", maxmemory_policy="noeviction")
    forbid(server, "config")
    link = link_to(server.url)
    with caplog.at_level(logging.WARNING, "marquee.redis"):
        report = await RedisSafety(link).look()
    assert (report.data, report.persistence, report.maxmemory_policy) == ("unknown", "unknown", ["noeviction"])
    assert report.warnings == []
    assert "cannot be read" in caplog.text
    assert link.refused_write is None


async def test_a_server_that_forbids_info_too_is_unknown(start: Start, link_to: LinkTo) -> None:
    server = start()
    forbid(server, "config", "info")
    link = link_to(server.url)
    report = await RedisSafety(link).look()
    assert (report.data, report.persistence, report.maxmemory_policy) == ("unknown", "unknown", ["unknown"])
    assert (report.evicted_keys, report.writes) == (None, "taken")


NO_FILE = {"aof_enabled": 0, "server_time_usec": 1_000_000_000, "uptime_in_seconds": 600}


@pytest.mark.parametrize(
    ("info", "save", "persistence"),
    [
        (NO_FILE, "3600 1", "snapshots"),
        (NO_FILE, "", "none"),
        (NO_FILE | {"rdb_last_save_time": 400}, None, "unknown"),  # the time of its start: 1,000 s - 600 s
        (NO_FILE | {"rdb_last_save_time": 700}, None, "snapshots"),
        (NO_FILE | {"rdb_saves": 2}, None, "snapshots"),
        (NO_FILE | {"aof_enabled": 1}, "", "append_only_file"),
        ({}, None, "unknown"),
    ],
)
def test_persistence_is_read_from_what_a_server_tells(info: dict[str, Any], save: str | None, persistence: str) -> None:
    assert persistence_of(info, save) == persistence


def test_before_the_first_answer_nothing_is_known() -> None:
    report = report_of([], None, None)
    assert (report.data, report.persistence, report.maxmemory_policy) == ("unknown", "unknown", ["unknown"])


async def test_every_primary_of_a_cluster_is_asked(cluster_link: RedisLink) -> None:
    names = sorted(await cluster_link.ask_primaries("PING"))
    assert len(names) == 3
    report = await RedisSafety(cluster_link).look()
    (warning,) = report.warnings
    assert (warning.name, warning.value) == ("persistence", 3)
    assert all(name in warning.message for name in names)


async def test_one_primary_that_evicts_is_named(tmp_path: Path, link_to: LinkTo) -> None:
    cluster = RedisCluster(tmp_path)
    with cluster as url:
        safety = RedisSafety(link_to(url))
        with closing(redis.Redis(port=cluster.ports[1])) as client:
            client.config_set("maxmemory-policy", "allkeys-lru")
        report = await safety.look()
        assert report.maxmemory_policy == ["allkeys-lru", "noeviction"]
        assert f"Redis at 127.0.0.1:{cluster.ports[1]} evicts any key" in report.warnings[0].message
        cluster.kill(1)
        assert "unknown" in (await safety.look()).maxmemory_policy


async def test_a_cluster_takes_writes_again_once_every_primary_does(tmp_path: Path, link_to: LinkTo) -> None:
    cluster = RedisCluster(tmp_path)
    with cluster as url, closing(redis.Redis(port=cluster.ports[0])) as client:
        link = link_to(url)
        safety = RedisSafety(link)
        client.config_set("maxmemory", 1)
        refusals = 0
        for number in range(30):  # over all nodes
            try:
                await link.run("SET", f"key {number}", "value")
            except StoreUnavailable:
                refusals += 1
        assert 0 < refusals < 30
        assert (await safety.look()).writes == "refused"
        client.config_set("maxmemory", 0)
        assert (await safety.look()).writes == "taken"


async def test_what_begins_and_what_ends_is_logged_once(
    start: Start, link_to: LinkTo, caplog: pytest.LogCaptureFixture
) -> None:
    server = start(save="", appendonly="no")
    safety = RedisSafety(link_to(server.url))
    with caplog.at_level(logging.INFO, "marquee.redis"):
        await safety.look()
        await safety.look()
        server.client.config_set("appendonly", "yes")
        await safety.look()
    told = [record.getMessage() for record in caplog.records]
    assert len(told) == 2
    assert told[0].startswith("Redis writes nothing to disk")
    assert told[1] == f"no longer true: {told[0]}"
