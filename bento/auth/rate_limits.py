"""Rate limits: the generic cell rate algorithm, in Redis, or in memory while Redis is unavailable.

One number is stored per name: the time at which its credit is full again. A request moves that time forward by the time
of one request, and is refused when it would be more than a minute ahead. So a limit of 60 passes 60 requests at once,
then one a second, and a refusal gives the exact time to wait. A clock that is set back costs at most that minute.
Source: ITU-T I.371, Annex A, the virtual scheduling algorithm.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol

from bento.stores.connection.redis_link import RedisLink
from bento.stores.errors import StoreUnavailable
from bento.stores.redis_stores import key_tag

MINUTE_US = 60_000_000

NAMES_LIMIT = 10_000
"""Names counted in memory; with one more, all counts start again."""

TAKE = """
local now, step = tonumber(ARGV[1]), tonumber(ARGV[2])
local stored = tonumber(redis.call('GET', KEYS[1]) or 0)
local full = math.max(math.min(stored, now + 60000000), now)
local wait = math.max(full + step - now - 60000000, 0)
if wait == 0 then full = full + step end
if full ~= stored then
  redis.call('SET', KEYS[1], string.format('%.0f', full), 'PX', math.ceil((full - now) / 1000) + 1)
end
return wait
"""
"""KEYS: name. ARGV: now and the time of one request, in microseconds. The same as `advance`."""


def advance(full_us: int, now_us: int, step_us: int) -> tuple[int, int]:
    """When the credit is full again after one more request, and how long that request must wait; 0 = it passes."""
    full_us = max(min(full_us, now_us + MINUTE_US), now_us)
    wait_us = max(full_us + step_us - now_us - MINUTE_US, 0)
    return (full_us, wait_us) if wait_us else (full_us + step_us, 0)


class RateLimits(Protocol):
    """Counts requests."""

    async def take(self, name: str, per_minute: int) -> float:
        """Count a request; returns the seconds that it must wait, 0 when it passes. A limit of 0 is no limit."""


class MemoryRateLimits:
    """See `RateLimits`. Each process counts for itself."""

    def __init__(self, now_us: Callable[[], int] = lambda: time.time_ns() // 1_000) -> None:
        self._now_us = now_us
        self._full_us: dict[str, int] = {}

    async def take(self, name: str, per_minute: int) -> float:
        if not per_minute:
            return 0.0
        if len(self._full_us) >= NAMES_LIMIT:
            self._full_us.clear()
        full_us, wait_us = advance(self._full_us.get(name, 0), self._now_us(), MINUTE_US // per_minute)
        self._full_us[name] = full_us
        return wait_us / 1e6


class RedisRateLimits:
    """See `RateLimits`. Shared by all processes of a Redis; in memory while it is unavailable."""

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
