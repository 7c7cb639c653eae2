"""Online popularity: recent events count more than older ones.

Every event adds its weight, which halves every week. Instead of reducing the stored sums, newer events add more: a sum
of weights times 2^(weeks since 2026) has the same order as a decaying one, and one division converts it to that.
Source: G. Cormode et al., "Forward decay: a practical time decay model for streaming systems", 2009.
"""

from __future__ import annotations

from typing import Protocol

from bento.stores.connection.redis_link import RedisLink
from features.ids import Id, id_of

HALF_LIFE_S = 7 * 86_400.0
LANDMARK_S = 1_767_225_600
"""2026-01-01. A double holds 2^1023: enough until 2045."""


class PopularityStore(Protocol):
    """Current popularity. Every method may raise StoreUnavailable."""

    async def add(self, movie_id: Id, weight: float, at_s: float) -> None:
        """Count an event of that time."""

    async def top(self, count: int, now_s: float) -> dict[Id, float]:
        """The most popular films with their decayed weights, the most popular first."""


def growth(at_s: float) -> float:
    """The factor by which an event of that time counts more than one at the landmark."""
    return float(2.0 ** ((at_s - LANDMARK_S) / HALF_LIFE_S))


class RedisPopularity:
    """A sorted set; it identifies no people."""

    def __init__(self, link: RedisLink, prefix: str) -> None:
        self._link = link
        self._key = f"{prefix}:popularity"

    async def add(self, movie_id: Id, weight: float, at_s: float) -> None:
        await self._link.run("ZINCRBY", self._key, repr(weight * growth(at_s)), movie_id)

    async def top(self, count: int, now_s: float) -> dict[Id, float]:
        flat = await self._link.run("ZREVRANGE", self._key, 0, count - 1, "WITHSCORES")
        pairs = flat if flat and isinstance(flat[0], tuple | list) else zip(flat[::2], flat[1::2], strict=True)
        return {id_of(movie_id.decode()): float(value) / growth(now_s) for movie_id, value in pairs}
