"""Work beside the requests that is done again and again, whatever becomes of one round of it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

log = logging.getLogger("marquee")


class Repeated:
    """Does something, waits, and does it again, until it is closed.

    A round that raises is told in the log, the first of several in a row with its traceback, and is not the last: a
    full disk or a bug must not end for good what nobody would miss at once.
    """

    def __init__(self, name: str, work: Callable[[], Awaitable[None]], every_s: float) -> None:
        self._name = name
        self._work = work
        self._every_s = every_s
        self._fails = False
        self._task = asyncio.create_task(self._for_ever(), name=name)

    async def close(self) -> None:
        """Stop, in the middle of a round if need be."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _for_ever(self) -> None:
        while True:
            try:
                await self._work()
            except Exception:  # whatever it was: see the class
                if not self._fails:
                    log.exception("%s failed, and is tried again every %g s", self._name, self._every_s)
                self._fails = True
            else:
                if self._fails:
                    log.info("%s goes on", self._name)
                self._fails = False
            await asyncio.sleep(self._every_s)
