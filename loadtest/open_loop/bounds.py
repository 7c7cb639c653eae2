"""Bounds that a run must keep, read from a line like `p99_ms<=250, failed_ratio<=0.01, after.p99_ms<=50`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields

from loadtest.open_loop.figures import Figures

METRICS = tuple(field.name for field in fields(Figures))

BOUND = re.compile(r"(?:(?P<phase>[\w-]+)\.)?(?P<metric>\w+)\s*(?P<relation><=|>=)\s*(?P<limit>\d+(\.\d+)?)")


@dataclass(frozen=True, slots=True)
class Bound:
    """One figure of the run, or of a phase, and what it may be."""

    phase: str
    """Empty: the whole run."""
    metric: str
    relation: str
    limit: float

    def __str__(self) -> str:
        place = f"{self.phase}." if self.phase else ""
        return f"{place}{self.metric}{self.relation}{self.limit:g}"


@dataclass(frozen=True, slots=True)
class Verdict:
    """A bound beside what was measured."""

    bound: Bound
    measured: float

    @property
    def kept(self) -> bool:
        """Whether the run kept the bound; NaN, the latency of no answer, keeps none."""
        if self.bound.relation == "<=":
            return self.measured <= self.bound.limit
        return self.measured >= self.bound.limit


def parse_bounds(text: str, phases: tuple[str, ...]) -> tuple[Bound, ...]:
    """Bounds of a line, separated by commas; none of an empty one.

    Raises ValueError for what is no bound, and for a metric or a phase that the run does not have.
    """
    bounds: list[Bound] = []
    for part in filter(None, (part.strip() for part in text.split(","))):
        found = BOUND.fullmatch(part)
        if found is None:
            raise ValueError(f"bound {part!r} must look like p99_ms<=250 or spike.failed_ratio<=0.01")
        bound = Bound(found["phase"] or "", found["metric"], found["relation"], float(found["limit"]))
        if bound.metric not in METRICS:
            raise ValueError(f"bound {part!r}: {bound.metric!r} is none of {', '.join(METRICS)}")
        if bound.phase and bound.phase not in phases:
            raise ValueError(f"bound {part!r}: the run has no phase {bound.phase!r}, only {', '.join(phases)}")
        bounds.append(bound)
    return tuple(bounds)


def verdicts(bounds: tuple[Bound, ...], whole: Figures, phases: Mapping[str, Figures]) -> tuple[Verdict, ...]:
    """Each bound beside its figure."""
    return tuple(
        Verdict(bound, getattr(phases[bound.phase] if bound.phase else whole, bound.metric)) for bound in bounds
    )
