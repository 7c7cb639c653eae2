"""When requests start: the phases of a run and the instants inside them, known before the first request is sent.

A closed loop waits for an answer before it asks again, so that a server that stalls is asked less and most of the wait
is never measured (coordinated omission). Here nothing that the server does moves an arrival. Nothing here sends.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

SHAPES = ("constant", "step", "spike", "soak")

STEPS = 5
"""A stepped run goes up to its rate in this many steps of equal length and height."""

SPIKE_BEFORE_RATIO, SPIKE_RATIO = 0.4, 0.2
"""Share of a run before the spike, and of the spike itself; the rest shows how the server recovers."""

WARM_UP_RATIO = 0.1
"""Share of a soak at half the rate before it is measured in three equal parts."""

ROUNDING = 1e-9
"""Rate times seconds may be a hair below the whole number that it means."""


@dataclass(frozen=True, slots=True)
class Phase:
    """A part of a run at one rate."""

    name: str
    start_s: float
    """Seconds after the start of the run."""
    seconds: float
    per_second: float

    @property
    def n_arrivals(self) -> int:
        """Requests that start in the phase."""
        return int(self.per_second * self.seconds + ROUNDING)


@dataclass(frozen=True, slots=True)
class Arrival:
    """One request that is to start."""

    at_s: float
    """Seconds after the start of the run."""
    phase: int
    """Place of its phase in the run."""


def phases_of(shape: str, per_second: float, seconds: float, peak: float) -> tuple[Phase, ...]:
    """The phases of a run of one of `SHAPES`, `seconds` in all.

    `peak` is the rate of a spike as a multiple of `per_second`. Raises ValueError for a shape that is not there, and
    where a phase has no arrival.
    """
    after_ratio = 1 - SPIKE_BEFORE_RATIO - SPIKE_RATIO
    part_ratio = (1 - WARM_UP_RATIO) / 3
    shares: dict[str, list[tuple[str, float, float]]] = {
        "constant": [("constant", 1, 1)],
        "step": [(f"step-{step}", 1 / STEPS, step / STEPS) for step in range(1, STEPS + 1)],
        "spike": [("before", SPIKE_BEFORE_RATIO, 1), ("spike", SPIKE_RATIO, peak), ("after", after_ratio, 1)],
        "soak": [("warm-up", WARM_UP_RATIO, 0.5), *((f"part-{part}", part_ratio, 1) for part in (1, 2, 3))],
    }
    if shape not in shares:
        raise ValueError(f"shape {shape!r} is none of {', '.join(SHAPES)}")
    phases: list[Phase] = []
    start_s = 0.0
    for name, share, multiple in shares[shape]:
        phase = Phase(name, start_s, seconds * share, per_second * multiple)
        if phase.n_arrivals == 0:
            raise ValueError(f"no request starts in {name!r}: {phase.per_second:g}/s for {phase.seconds:g} s")
        phases.append(phase)
        start_s += phase.seconds
    return tuple(phases)


def arrivals(phases: tuple[Phase, ...], worker: int = 0, workers: int = 1) -> Iterator[Arrival]:
    """What one of `workers` starts: every `workers`-th arrival, so that all are evenly spaced in each phase."""
    number = 0
    for place, phase in enumerate(phases):
        for turn in range(phase.n_arrivals):
            if number % workers == worker:
                yield Arrival(phase.start_s + turn / phase.per_second, place)
            number += 1
