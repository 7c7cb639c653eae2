"""Memory of a server's processes over time, and whether it grows."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import psutil

WINDOWS = 12
WARM_UP_SHARE = 1 / 3
"""Of the time, in which caches fill; growth is looked for in what follows."""


@dataclass(slots=True)
class MemorySeries:
    """Resident memory of one process."""

    seconds: list[float] = field(default_factory=list)
    mib: list[float] = field(default_factory=list)

    def at(self, second: float) -> float:
        """What it was nearest to a moment."""
        return self.mib[int(np.argmin(np.abs(np.array(self.seconds) - second)))]

    def growth_mib(self) -> float:
        """What it grew by after the warm-up: the median slope between any two windows' medians (Theil-Sen) times the
        time. One process of garbage, or one file that is read, moves a mean; a leak moves the median.
        """
        start = self.seconds[0] + (self.seconds[-1] - self.seconds[0]) * WARM_UP_SHARE
        after = [(second, mib) for second, mib in zip(self.seconds, self.mib, strict=True) if second >= start]
        windows = [part for part in np.array_split(np.array(after), WINDOWS) if len(part)]
        times = np.array([np.median(part[:, 0]) for part in windows])
        levels = np.array([np.median(part[:, 1]) for part in windows])
        first, second = np.triu_indices(len(windows), 1)
        if not len(first):
            return 0.0
        slope = np.median((levels[second] - levels[first]) / (times[second] - times[first]))
        return float(slope * (self.seconds[-1] - start))


class MemoryWatch:
    """Reads the memory of processes by what they are."""

    def __init__(self, server_pid: int, others: dict[str, int]) -> None:
        """`others`: further processes by name, such as an embedded Redis, which is nobody's child."""
        self._server = psutil.Process(server_pid)
        self._others = others
        self.series: dict[str, MemorySeries] = {}

    def look(self, second: float) -> None:
        """Note everybody's memory. A process that ended meanwhile has none."""
        named = [(name, psutil.Process(pid)) for name, pid in self._others.items() if psutil.pid_exists(pid)]
        children = self._server.children(recursive=True)
        for name, process in [("supervisor", self._server), *((_role(child), child) for child in children), *named]:
            try:
                mib = process.memory_info().rss / 2**20
            except psutil.NoSuchProcess:
                continue
            series = self.series.setdefault(name, MemorySeries())
            series.seconds.append(second)
            series.mib.append(mib)


def _role(process: psutil.Process) -> str:
    try:
        command = " ".join(process.cmdline())
    except psutil.Error:
        return "other"
    return "worker" if "worker.service" in command else f"helper {process.pid}"
