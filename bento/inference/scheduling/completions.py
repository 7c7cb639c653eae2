"""Events from instance threads to the event loop: any number of them cost it one wake-up."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable


class Completions:
    """Carries events from any thread to the event loop, in order; many events, one wake-up."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._events: deque[tuple[Callable[..., None], object]] = deque()
        self._woken = False

    def post(self, function: Callable[..., None], argument: object) -> None:
        """Have `function(argument)` called on the loop soon."""
        self._events.append((function, argument))
        if not self._woken and not self._loop.is_closed():
            self._woken = True
            self._loop.call_soon_threadsafe(self._deliver)

    def _deliver(self) -> None:
        self._woken = False  # before looking: an event posted from here on wakes the loop again
        events = self._events
        try:
            while events:
                function, argument = events.popleft()
                function(argument)
        finally:
            if events:  # the function raised, which the loop will tell; the others are not to wait for that
                self._loop.call_soon(self._deliver)
