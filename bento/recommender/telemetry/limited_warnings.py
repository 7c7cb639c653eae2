"""Warnings that every request would repeat: the first at once, then one line per interval with how many there were.

Under overload a line per request would be hundreds a second, and writing them costs what is short. The metrics count
each one all the same.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

INTERVAL_S = 10.0


def _later(delay_s: float, act: Callable[[], None]) -> object:
    return asyncio.get_running_loop().call_later(delay_s, act)


class LimitedWarnings:
    """Warns about some things, each at most once per interval."""

    def __init__(
        self,
        log: logging.Logger,
        interval_s: float = INTERVAL_S,
        later: Callable[[float, Callable[[], None]], object] = _later,
    ) -> None:
        """`later` calls something after some seconds."""
        self._log = log
        self._interval_s = interval_s
        self._later = later
        self._unsaid: dict[str, int] = {}
        """What was warned about in the present interval -> how often since."""
        self._newest: dict[str, str] = {}

    def warn(self, what: str, why: str) -> None:
        """`what` names the thing for counting ("ease is left out"), `why` may differ each time."""
        if what in self._unsaid:
            self._unsaid[what] += 1
            self._newest[what] = why
        else:
            self._log.warning("%s: %s", what, why)
            self._begin(what)

    def _begin(self, what: str) -> None:
        self._unsaid[what] = 0
        self._later(self._interval_s, lambda: self._sum_up(what))

    def _sum_up(self, what: str) -> None:
        count, why = self._unsaid.pop(what), self._newest.pop(what, "")
        if count:
            self._log.warning("%s, %d more in %g s: %s", what, count, self._interval_s, why)
            self._begin(what)
