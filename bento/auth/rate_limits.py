"""How often somebody may ask: the generic cell rate algorithm, in Redis and, while that is away, in memory.

One number is kept per name: when its credit is whole again. A request moves it on by one request's worth of time and
is refused when that would put it more than a minute ahead. So a limit of 60 lets 60 through at once, then one a second,
and a refusal knows exactly when to come back. A clock that is set back costs nobody more than that minute.
Source: ITU-T I.371, Annex A, the virtual scheduling algorithm.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol

from bento.stores.errors import StoreUnavailable
from bento.stores.redis_link import RedisLink
from bento.stores.redis_stores import key_tag

MINUTE_US = 60_000_000

NAMES_LIMIT = 10_000
"""Names that are remembered in memory; one more and all start afresh."""

TAKE = """
local now, step = tonumber(ARGV[1]), tonumber(ARGV[2])
local known = tonumber(redis.call('GET', KEYS[1]) or 0)
local whole = math.max(math.min(known, now + 60000000), now)
local wait = math.max(whole + step - now - 60000000, 0)
if wait == 0 then whole = whole + step end
if whole ~= known then
  redis.call('SET', KEYS[1], string.format('%.0f', whole), 'PX', math.ceil((whole - now) / 1000) + 1)
end
return wait
"""
"""KEYS: name. ARGV: now and the time that one request is worth, in microseconds. `advance`, where it is shared."""


def advance(whole_us: int, now_us: int, step_us: int) -> tuple[int, int]:
    """When the credit is whole again after one more request, and how long that request must wait; 0 = it passes."""
    whole_us = max(min(whole_us, now_us + MINUTE_US), now_us)
    wait_us = max(whole_us + step_us - now_us - MINUTE_US, 0)
    return (whole_us, wait_us) if wait_us else (whole_us + step_us, 0)


class RateLimits(Protocol):
    """Counts requests."""

    async def take(self, name: str, per_minute: int) -> float:
        """Count a request; the seconds that it must wait, 0 when it may pass. A limit of 0 is none."""


class MemoryRateLimits:
    """See `RateLimits`. Each process counts for itself."""

    def __init__(self, now_us: Callable[[], int] = lambda: time.time_ns() // 1_000) -> None:
        self._now_us = now_us
        self._whole_us: dict[str, int] = {}

    async def take(self, name: str, per_minute: int) -> float:
        if not per_minute:
            return 0.0
        if len(self._whole_us) >= NAMES_LIMIT:
            self._whole_us.clear()
        whole_us, wait_us = advance(self._whole_us.get(name, 0), self._now_us(), MINUTE_US // per_minute)
        self._whole_us[name] = whole_us
        return wait_us / 1e6


class RedisRateLimits:
    """See `RateLimits`. Common to all processes of a Redis; in memory while it is away."""

    def __init__(
        self, link: RedisLink, prefix: str, now_us: Callable[[], int] = lambda: time.time_ns() // 1_000
    ) -> None:
        self._link = link
        self._prefix = prefix
        self._now_us = now_us
        self._fallback = MemoryRateLimits(now_us)

    async def take(self, name: str, per_minute: int) -> float:
        if not per_minute:
            return 0.0
        key = f"{self._prefix}:{{{key_tag(name)}}}:rate"
        try:
            return float(await self._link.run("EVAL", TAKE, 1, key, self._now_us(), MINUTE_US // per_minute)) / 1e6
        except StoreUnavailable:
            return await self._fallback.take(name, per_minute)
