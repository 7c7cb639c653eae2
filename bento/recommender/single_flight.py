"""One computation for all equal requests at the same time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class SingleFlight(Generic[T]):
    """Computations under way, by key."""

    def __init__(self) -> None:
        self._flights: dict[str, asyncio.Task[T]] = {}

    def is_under_way(self, key: str) -> bool:
        """Whether this is being computed."""
        return key in self._flights

    async def run(self, key: str, compute: Callable[[], Awaitable[T]]) -> T:
        """The result for `key`: of the computation under way, or of a new one.

        The computation goes on when its first caller is cancelled; its error is raised in all callers that wait.
        """
        flight = self._flights.get(key)
        if flight is None:
            flight = asyncio.ensure_future(self._fly(key, compute))
            self._flights[key] = flight
        return await asyncio.shield(flight)

    async def _fly(self, key: str, compute: Callable[[], Awaitable[T]]) -> T:
        try:
            return await compute()
        finally:
            del self._flights[key]
