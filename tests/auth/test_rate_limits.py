"""So many requests a minute, in memory and in a real Redis, by a clock that the test moves."""

from __future__ import annotations

import pytest

from bento.auth.rate_limits import MemoryRateLimits, RateLimits, RedisRateLimits
from bento.stores.connection.redis_link import RedisLink
from bento.stores.errors import StoreUnavailable


class Clock:
    def __init__(self) -> None:
        self.now_us = 1_700_000_000_000_000

    def __call__(self) -> int:
        return self.now_us

    def pass_s(self, seconds: float) -> None:
        self.now_us += int(seconds * 1e6)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(params=["memory", pytest.param("link", marks=pytest.mark.redis)])
def limits(request: pytest.FixtureRequest, clock: Clock) -> RateLimits:
    if request.param == "memory":
        return MemoryRateLimits(clock)
    return RedisRateLimits(request.getfixturevalue("link"), "test", clock)


async def test_as_many_as_the_limit_pass_at_once_then_one_every_sixtieth(limits: RateLimits, clock: Clock) -> None:
    assert [await limits.take("ann", 4) for _ in range(5)] == [0, 0, 0, 0, 15.0]
    clock.pass_s(10)
    assert await limits.take("ann", 4) == 5.0
    clock.pass_s(5)
    assert [await limits.take("ann", 4) for _ in range(2)] == [0, 15.0]


async def test_a_minute_of_silence_makes_the_credit_whole(limits: RateLimits, clock: Clock) -> None:
    for _ in range(3):
        await limits.take("ann", 3)
    clock.pass_s(60)
    assert [await limits.take("ann", 3) for _ in range(4)] == [0, 0, 0, 20.0]


async def test_a_clock_that_is_set_back_costs_a_minute_at_most(limits: RateLimits, clock: Clock) -> None:
    await limits.take("ann", 4)
    clock.pass_s(-3_600)
    assert await limits.take("ann", 4) == 15.0
    clock.pass_s(15)
    assert await limits.take("ann", 4) == 0


async def test_everybody_has_their_own_credit(limits: RateLimits) -> None:
    assert [await limits.take(name, 1) for name in ("ann", "{bob}", "ann", "{bob}")] == [0, 0, 60.0, 60.0]


async def test_a_limit_of_0_is_none(limits: RateLimits) -> None:
    assert {await limits.take("ann", 0) for _ in range(100)} == {0.0}


async def test_without_redis_requests_are_counted_in_memory(clock: Clock) -> None:
    class Dead:
        async def run(self, *_: object) -> object:
            raise StoreUnavailable("it was shot")

    limits = RedisRateLimits(Dead(), "test", clock)  # type: ignore[arg-type]
    assert [await limits.take("ann", 1) for _ in range(2)] == [0, 60.0]


@pytest.mark.redis
async def test_a_name_leaves_nothing_in_redis_once_its_credit_is_whole(link: RedisLink, clock: Clock) -> None:
    await RedisRateLimits(link, "test", clock).take("ann", 60)
    assert 0 < await link.run("PTTL", "test:{ann}:rate") <= 1_001
