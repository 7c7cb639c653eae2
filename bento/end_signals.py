"""SIGINT and SIGTERM: the first asks a process to end in good order, a second one to end at once."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable

END_SIGNALS = (signal.SIGINT, signal.SIGTERM)

ONE_SIGNAL_S = 0.5
"""A terminal, make or a shell may send one signal to a whole process group and pass it on as well: what comes within
this time of the first signal is the first signal."""


class EndSignals:
    """Tells a second signal from the first one."""

    def __init__(self, clock_s: Callable[[], float] = time.monotonic) -> None:
        self._clock_s = clock_s
        self._first_s: float | None = None

    def is_second(self) -> bool:
        """Whether the signal that has just come asks to end at once."""
        now_s = self._clock_s()
        if self._first_s is None:
            self._first_s = now_s
        return now_s - self._first_s > ONE_SIGNAL_S
