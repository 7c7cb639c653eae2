"""The circuit breaker: a part that failed is not used for some time, then tried once.

Pure: the clock is passed in.
"""

from __future__ import annotations

import time
from collections.abc import Callable


class CircuitBreaker:
    """Closed while the part works; open after a failure, with one probe per `retry_s` until one succeeds."""

    def __init__(self, retry_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._retry_s = retry_s
        self._clock = clock
        self._retry_at_s: float | None = None
        self.reason = ""
        """The reason of the last failure."""

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
        """Record a failure; True when it opened the breaker."""
        opened = self._retry_at_s is None
        self._retry_at_s = self._clock() + self._retry_s
        self.reason = reason
        return opened

    def succeed(self) -> bool:
        """Record a success; True when it closed the breaker."""
        closed = self._retry_at_s is not None
        self._retry_at_s = None
        return closed
