"""Plots of a run, drawn without a display, as SVG."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from loadtest.open_loop.arrivals import Phase
from loadtest.open_loop.figures import Figures
from loadtest.open_loop.samples import Outcome, Table

PERCENTILES = np.concatenate([np.arange(0, 99, 0.5), 100 - np.logspace(0, -2, 60), [100]])
"""Finer towards the slowest requests."""


@contextmanager
def drawn(path: Path) -> Iterator[Figure]:
    """A figure that is saved at the end."""
    figure = Figure(figsize=(9, 4), layout="constrained")
    yield figure
    figure.savefig(path, format="svg")


def rates(path: Path, seconds: Mapping[int, Figures]) -> None:
    """Requests that were to start in each second, and how many of them were answered."""
    with drawn(path) as figure:
        axes = figure.add_subplot()
        axes.step(list(seconds), [each.offered for each in seconds.values()], where="post", label="offered")
        axes.step(
            list(seconds), [each.answered for each in seconds.values()], where="post", linestyle="--", label="answered"
        )
        axes.set(xlabel="intended start, seconds", ylabel="requests/s", ylim=(0, None), title="Rate")
        axes.legend()


def latencies(path: Path, seconds: Mapping[int, Figures]) -> None:
    """Median, 99th percentile and maximum of each second."""
    with drawn(path) as figure:
        axes = figure.add_subplot()
        for metric, label in (("p50_ms", "p50"), ("p99_ms", "p99"), ("max_ms", "slowest")):
            axes.plot(list(seconds), [getattr(each, metric) for each in seconds.values()], marker=".", label=label)
        axes.set(xlabel="intended start, seconds", ylabel="ms from intended start", yscale="log", title="Latency")
        axes.legend()


def distributions(path: Path, rows: Table, phases: tuple[Phase, ...]) -> None:
    """Latency by percentile, a line for each phase; the axis is finer towards the slowest requests."""
    with drawn(path) as figure:
        axes = figure.add_subplot()
        for place, phase in enumerate(phases):
            answered = rows["latency_ms"][(rows["phase"] == place) & (rows["outcome"] == Outcome.ANSWERED)]
            if len(answered):
                values = np.percentile(answered, PERCENTILES, method="inverted_cdf")
                axes.plot(1 / (1.0001 - PERCENTILES / 100), values, label=f"{phase.name}, {phase.per_second:g}/s")
        axes.set(xscale="log", yscale="log", xlabel="percentile", ylabel="ms from intended start", title="Percentiles")
        axes.set_xticks([1, 2, 10, 100, 1000, 10_000], ["0", "50", "90", "99", "99.9", "99.99"])
        axes.legend()
