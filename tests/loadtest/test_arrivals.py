"""When requests of an open-loop run start."""

from __future__ import annotations

import itertools

import pytest

from loadtest.open_loop.arrivals import arrivals, phases_of


def test_a_constant_rate_is_evenly_spaced() -> None:
    started = [arrival.at_s for arrival in arrivals(phases_of("constant", 4, 1.5, 3))]
    assert started == [0, 0.25, 0.5, 0.75, 1, 1.25]


def test_steps_go_up_to_the_rate_in_five_equal_parts() -> None:
    phases = phases_of("step", 10, 5, 3)
    assert [(phase.start_s, phase.per_second, phase.n_arrivals) for phase in phases] == [
        (0, 2, 2), (1, 4, 4), (2, 6, 6), (3, 8, 8), (4, 10, 10),
    ]  # fmt: skip


def test_a_spike_takes_a_fifth_of_the_run_and_leaves_two_fifths_to_recover() -> None:
    phases = phases_of("spike", 10, 10, 4)
    assert [(phase.name, phase.start_s, phase.seconds, phase.per_second) for phase in phases] == [
        ("before", 0, 4, 10),
        ("spike", 4, 2, 40),
        ("after", 6, pytest.approx(4), 10),
    ]


def test_a_soak_warms_up_and_is_measured_in_three_parts() -> None:
    phases = phases_of("soak", 10, 100, 3)
    assert [(phase.name, round(phase.start_s), phase.n_arrivals) for phase in phases] == [
        ("warm-up", 0, 50), ("part-1", 10, 300), ("part-2", 40, 300), ("part-3", 70, 300),
    ]  # fmt: skip


@pytest.mark.parametrize("shape", ["constant", "step", "spike", "soak"])
def test_workers_share_all_arrivals_without_a_gap_or_a_double(shape: str) -> None:
    phases = phases_of(shape, 17, 7, 3)
    shares = [list(arrivals(phases, worker, 3)) for worker in range(3)]
    assert sorted(itertools.chain(*shares), key=lambda each: each.at_s) == list(arrivals(phases))
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


def test_an_unknown_shape_is_refused() -> None:
    with pytest.raises(ValueError, match="'wave' is none of constant, step, spike, soak"):
        phases_of("wave", 10, 10, 3)


def test_a_phase_without_a_request_is_refused() -> None:
    with pytest.raises(ValueError, match=r"no request starts in 'step-1': 0.2/s for 1 s"):
        phases_of("step", 1, 5, 3)
