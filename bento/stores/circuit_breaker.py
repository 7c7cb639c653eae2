"""The circuit breaker: a part that failed is left alone for a while, then tried once.

Pure: the clock is passed in.
"""

from __future__ import annotations

import time
from collections.abc import Callable


class CircuitBreaker:
    """Closed while all is well; open after a failure; one probe per `retry_s` until one succeeds."""

    def __init__(self, retry_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._retry_s = retry_s
        self._clock = clock
        self._retry_at_s: float | None = None
        self.reason = ""
        """Why it opened."""

    @property
    def is_open(self) -> bool:
        """The part counts as failed."""
        return self._retry_at_s is not None

    def allows(self) -> bool:
        """Whether the part may be tried now. While open, True once per `retry_s`: that caller is the probe."""
        if self._retry_at_s is None:
            return True
        now_s = self._clock()
        if now_s < self._retry_at_s:
            return False
        self._retry_at_s = now_s + self._retry_s
        return True

    def fail(self, reason: str) -> bool:
        """Note a failure; True when this one opened the breaker."""
        opened = self._retry_at_s is None
        self._retry_at_s = self._clock() + self._retry_s
        self.reason = reason
        return opened

    def succeed(self) -> bool:
        """Note a success; True when this one closed the breaker."""
        closed = self._retry_at_s is not None
        self._retry_at_s = None
        return closed
