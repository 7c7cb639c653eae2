"""The way to Redis, against a real one: joined round trips, and what a dead or hung server costs."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis

from bento.stores.connection.circuit_breaker import CircuitBreaker
from bento.stores.connection.embedded_redis import EmbeddedRedis
from bento.stores.connection.redis_link import BATCH_LIMIT, RedisLink, connect
from bento.stores.errors import StoreUnavailable
from tests.stores.redis_traffic import record_pipelines

pytestmark = pytest.mark.redis

SHORT_TIMEOUT_S = 0.25
RETRY_S = 30.0
"""So long that no probe happens by itself while a test runs."""


class Clock:
    """The breaker's clock; the test moves it past the retry."""

    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def changes() -> list[bool]:
    return []


@pytest.fixture
def impatient_client(redis: EmbeddedRedis) -> Redis:
    client = connect(redis.url, SHORT_TIMEOUT_S)
    assert isinstance(client, Redis)
    return client


@pytest.fixture
async def impatient(impatient_client: Redis, clock: Clock, changes: list[bool]) -> AsyncIterator[RedisLink]:
    link = RedisLink(impatient_client, SHORT_TIMEOUT_S, CircuitBreaker(RETRY_S, clock), changes.append)
    yield link
    await link.close()


def pid_of(redis: EmbeddedRedis) -> int:
    assert redis.pid is not None
    return redis.pid


async def test_what_is_asked_together_travels_together(client: Redis, link: RedisLink) -> None:
    sent = record_pipelines(client)
    await asyncio.gather(link.run("SET", "a", "1"), link.run("SET", "b", "2"), link.run("GET", "a"))
    assert sent == [["SET", "SET", "GET"]]


async def test_answers_reach_whoever_asked(link: RedisLink) -> None:
    await asyncio.gather(*(link.run("SET", f"key{n}", n) for n in range(600)))
    values = await asyncio.gather(*(link.run("GET", f"key{n}") for n in range(600)))
    assert values == [str(n).encode() for n in range(600)]


async def test_a_refused_command_fails_alone(link: RedisLink) -> None:
    await link.run("SET", "text", "x")
    answers = await asyncio.gather(link.run("INCR", "text"), link.run("GET", "text"), return_exceptions=True)
    assert isinstance(answers[0], StoreUnavailable)
    assert "not an integer" in str(answers[0])
    assert answers[1] == b"x"
    assert link.is_available


async def test_somebody_who_leaves_does_not_disturb_the_others(link: RedisLink) -> None:
    leaving = asyncio.create_task(link.run("GET", "a"))
    staying = asyncio.create_task(link.run("SET", "a", "1"))
    await asyncio.sleep(0)
    leaving.cancel()
    assert await staying is True
    assert await link.run("GET", "a") == b"1"


async def test_a_killed_redis_is_noticed_at_once(
    impatient: RedisLink, redis: EmbeddedRedis, changes: list[bool]
) -> None:
    await impatient.run("PING")
    os.kill(pid_of(redis), signal.SIGKILL)
    with pytest.raises(StoreUnavailable):
        await impatient.run("PING")
    assert not impatient.is_available
    assert changes == [False]


async def test_a_hung_redis_costs_one_timeout_for_all(
    impatient_client: Redis, impatient: RedisLink, redis: EmbeddedRedis
) -> None:
    await impatient.run("PING")
    sent = record_pipelines(impatient_client)
    os.kill(pid_of(redis), signal.SIGSTOP)
    try:
        answers = await asyncio.gather(*(impatient.run("GET", "a") for _ in range(1_000)), return_exceptions=True)
    finally:
        os.kill(pid_of(redis), signal.SIGCONT)
    assert all(isinstance(answer, StoreUnavailable) for answer in answers)
    assert [len(commands) for commands in sent] == [BATCH_LIMIT]  # the others did not wait for timeouts of their own


async def test_nobody_waits_for_a_redis_that_is_known_to_hang(
    impatient: RedisLink, redis: EmbeddedRedis, clock: Clock
) -> None:
    await impatient.run("PING")
    os.kill(pid_of(redis), signal.SIGSTOP)
    try:
        with pytest.raises(StoreUnavailable, match="TimeoutError"):
            await impatient.run("PING")
        clock.now_s += RETRY_S  # a probe sets out, and waits; nobody else does
        started_s = time.monotonic()
        for _ in range(1_000):
            with pytest.raises(StoreUnavailable):
                await impatient.run("PING")
        assert time.monotonic() - started_s < SHORT_TIMEOUT_S  # 1,000 answers in less than one timeout
    finally:
        os.kill(pid_of(redis), signal.SIGCONT)


async def test_a_redis_that_comes_back_is_found_without_a_request(
    impatient: RedisLink, redis: EmbeddedRedis, clock: Clock, changes: list[bool]
) -> None:
    await impatient.run("SET", "a", "before")
    os.kill(pid_of(redis), signal.SIGSTOP)
    with pytest.raises(StoreUnavailable):
        await impatient.run("PING")
    os.kill(pid_of(redis), signal.SIGCONT)
    clock.now_s += RETRY_S
    async with asyncio.timeout(10):
        while not impatient.is_available:
            await asyncio.sleep(0.01)
    assert changes == [False, True]
    assert await impatient.run("GET", "a") == b"before"


async def test_probes_go_on_until_redis_is_back(impatient: RedisLink, redis: EmbeddedRedis, clock: Clock) -> None:
    os.kill(pid_of(redis), signal.SIGSTOP)
    try:
        for _ in range(3):
            clock.now_s += RETRY_S
            await asyncio.sleep(1.2 * SHORT_TIMEOUT_S)  # a probe and its timeout
            with pytest.raises(StoreUnavailable):
                await impatient.run("PING")
    finally:
        os.kill(pid_of(redis), signal.SIGCONT)
    clock.now_s += RETRY_S
    async with asyncio.timeout(10):
        while not impatient.is_available:
            await asyncio.sleep(0.01)


async def test_an_address_where_nobody_listens_is_unavailable() -> None:
    link = RedisLink(connect("unix:///nonexistent/redis.sock", 1.0), 1.0, CircuitBreaker(1.0))
    with pytest.raises(StoreUnavailable, match=r"Redis is not available: ConnectionError"):
        await link.run("PING")
    await link.close()


async def test_a_primary_that_became_a_replica_is_left(redis: EmbeddedRedis, impatient: RedisLink) -> None:
    connection = await impatient.run("CLIENT", "ID")
    await impatient.run("REPLICAOF", "127.0.0.1", "1")
    try:
        with pytest.raises(StoreUnavailable, match="read only replica"):
            await impatient.run("SET", "key", "value")
        assert await impatient.run("CLIENT", "ID") > connection  # whoever has the address now is asked
    finally:
        await impatient.run("REPLICAOF", "NO", "ONE")
    assert await impatient.run("SET", "key", "value")
