"""Figures of a run, of one of its phases, of a kind of request or of a second."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from loadtest.open_loop.arrivals import Phase
from loadtest.open_loop.samples import Outcome, Table


@dataclass(frozen=True, slots=True)
class Figures:
    """Counts are of requests that were to start; latencies are of those that were answered, NaN where none was.

    A percentile is a latency that occurred: the smallest that as many requests did not exceed.
    """

    offered: int
    answered: int
    refused: int
    failed: int
    not_sent: int
    offered_per_s: float
    answered_per_s: float
    refused_ratio: float
    failed_ratio: float
    """Refused, failed and not sent, of those offered."""
    p50_ms: float
    p90_ms: float
    p95_ms: float
    p99_ms: float
    p999_ms: float
    max_ms: float
    send_lag_p99_ms: float
    """How late the load generator itself was; what it is late is part of every latency."""


def figures_of(rows: Table, seconds: float) -> Figures:
    """Figures of requests that were to start within `seconds`."""
    counts = {outcome: int(np.sum(rows["outcome"] == outcome)) for outcome in Outcome}
    offered, answered = len(rows), counts[Outcome.ANSWERED]
    latencies_ms = rows["latency_ms"][rows["outcome"] == Outcome.ANSWERED]
    return Figures(
        offered=offered,
        answered=answered,
        refused=counts[Outcome.REFUSED],
        failed=counts[Outcome.FAILED],
        not_sent=counts[Outcome.NOT_SENT],
        offered_per_s=offered / seconds,
        answered_per_s=answered / seconds,
        refused_ratio=_ratio(counts[Outcome.REFUSED], offered),
        failed_ratio=_ratio(offered - answered, offered),
        p50_ms=percentile(latencies_ms, 50),
        p90_ms=percentile(latencies_ms, 90),
        p95_ms=percentile(latencies_ms, 95),
        p99_ms=percentile(latencies_ms, 99),
        p999_ms=percentile(latencies_ms, 99.9),
        max_ms=percentile(latencies_ms, 100),
        send_lag_p99_ms=percentile(rows["send_lag_ms"][rows["outcome"] != Outcome.NOT_SENT], 99),
    )


def percentile(values: npt.NDArray[np.float64], q: float) -> float:
    """The smallest value that `q` % of all values do not exceed; NaN of none."""
    return float(np.percentile(values, q, method="inverted_cdf")) if len(values) else float("nan")


def by_phase(rows: Table, phases: tuple[Phase, ...]) -> dict[str, Figures]:
    """Figures of each phase, by when requests were to start."""
    return {phase.name: figures_of(rows[rows["phase"] == n], phase.seconds) for n, phase in enumerate(phases)}


def by_kind(rows: Table, seconds: float) -> dict[str, Figures]:
    """Figures of each kind of request, by name."""
    return {str(kind): figures_of(rows[rows["kind"] == kind], seconds) for kind in np.unique(rows["kind"])}


def by_second(rows: Table) -> dict[int, Figures]:
    """Figures of each second in which requests were to start."""
    ordered = np.sort(rows, order="intended_s")
    seconds, starts = np.unique(ordered["intended_s"].astype(int), return_index=True)
    parts = np.split(ordered, starts[1:])
    return {int(second): figures_of(part, 1) for second, part in zip(seconds, parts, strict=True)} if len(rows) else {}


def _ratio(part: int, whole: int) -> float:
    return part / whole if whole else float("nan")
