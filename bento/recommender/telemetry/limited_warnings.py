"""Rate-limited warnings: the first is logged at once, repetitions as one line per interval with their number.

Under overload, one line per request would be hundreds per second, which costs processor time when it is scarce. The
metrics count each occurrence.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

INTERVAL_S = 10.0


def _later(delay_s: float, act: Callable[[], None]) -> object:
    return asyncio.get_running_loop().call_later(delay_s, act)


class LimitedWarnings:
    """Logs warnings by subject, each at most once per interval."""

    def __init__(
        self,
        log: logging.Logger,
        interval_s: float = INTERVAL_S,
        later: Callable[[float, Callable[[], None]], object] = _later,
    ) -> None:
        """`later` calls a function after some seconds."""
        self._log = log
        self._interval_s = interval_s
        self._later = later
        self._repetitions: dict[str, int] = {}
        """Subject -> how often it was repeated in the present interval."""
        self._newest: dict[str, str] = {}

    def warn(self, what: str, why: str) -> None:
        """`what` is the subject that is counted ("ease is left out"); `why` may differ each time."""
        if what in self._repetitions:
            self._repetitions[what] += 1
            self._newest[what] = why
        else:
            self._log.warning("%s: %s", what, why)
            self._begin(what)

    def _begin(self, what: str) -> None:
        self._repetitions[what] = 0
        self._later(self._interval_s, lambda: self._sum_up(what))

    def _sum_up(self, what: str) -> None:
        count, why = self._repetitions.pop(what), self._newest.pop(what, "")
        if count:
            self._log.warning("%s, %d more in %g s: %s", what, count, self._interval_s, why)
            self._begin(what)
