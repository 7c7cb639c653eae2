"""A Python model that can be made to hold its requests, so that tests know what is in flight."""

from __future__ import annotations

import time
from pathlib import Path

WITHIN_S = 60.0


class Hold:
    """Holds requests for a model from `begin` to `release`, across processes, by three files of a folder."""

    def __init__(self, folder: Path) -> None:
        self._asked, self._entered, self._released = (folder / name for name in ("hold", "entered", "release"))

    def holding(self, model_py: str) -> str:
        """The code of a model with one `execute`, which holds each request at its beginning."""
        execute = "    def execute(self, requests):\n"
        assert model_py.count(execute) == 1
        wait = f"""\
        import pathlib, time
        asked, entered, released = map(pathlib.Path, {[str(self._asked), str(self._entered), str(self._released)]!r})
        if asked.exists():
            entered.touch()
            while not released.exists():
                time.sleep(0.01)
"""
        return model_py.replace(execute, execute + wait)

    def begin(self) -> None:
        """Hold what comes from now on."""
        self._asked.touch()

    def wait_until_entered(self) -> None:
        """Return when a request is held."""
        deadline_s = time.monotonic() + WITHIN_S
        while not self._entered.exists():
            assert time.monotonic() < deadline_s, f"no request reached the model within {WITHIN_S:.0f} s"
            time.sleep(0.01)  # the file is the only word from that process

    def release(self) -> None:
        """Let the held requests be answered."""
        self._released.touch()
