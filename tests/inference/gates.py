"""Gates inside Python models, so that tests decide when a model runs on, and see what it was given."""

from __future__ import annotations

import asyncio
import threading
from functools import cache

import numpy as np
import numpy.typing as npt

WAIT_S = 30.0
"""Far longer than anything here takes; only a broken test waits it out."""


class Gate:
    """Open at first. While it is closed a model that enters waits inside."""

    def __init__(self) -> None:
        self.batches: list[list[float]] = []
        """First value of each request, by execution."""
        self._open = threading.Event()
        self._open.set()
        self._inside = threading.Semaphore(0)

    def enter(self, inputs: list[npt.NDArray[np.float32]]) -> None:
        """Called by the model in `execute`."""
        self.batches.append([float(array.ravel()[0]) for array in inputs])
        self._inside.release()
        assert self._open.wait(WAIT_S)

    def leave(self) -> None:
        """Called by the model in `finalize`: counts as one more execution for `entered`."""
        self._inside.release()

    def close(self) -> None:
        """From now on executions wait."""
        self._open.clear()

    def open(self) -> None:
        """Let everything through."""
        self._open.set()

    async def entered(self) -> None:
        """Wait until one more execution has begun."""
        assert await asyncio.to_thread(self._inside.acquire, timeout=WAIT_S)


@cache
def gate(name: str) -> Gate:
    """The gate of a model; tests that share the name share the gate."""
    return Gate()
