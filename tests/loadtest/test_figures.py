"""Figures and bounds of an open-loop run, from rows written by hand."""

from __future__ import annotations

import math

import pytest

from loadtest.open_loop.arrivals import phases_of
from loadtest.open_loop.bounds import Bound, parse_bounds, verdicts
from loadtest.open_loop.figures import by_kind, by_phase, by_second, figures_of
from loadtest.open_loop.report import Run
from loadtest.open_loop.samples import Outcome, Row, Samples, Table


def table_of(rows: list[Row]) -> Table:
    samples = Samples()
    samples.add(rows)
    return samples.table()


def answered(intended_s: float, latency_ms: float, phase: int = 0) -> Row:
    return (intended_s, latency_ms, 0.5, phase, "recommend", Outcome.ANSWERED)


HUNDRED = table_of([answered(number / 50, number + 1) for number in range(100)])
"""1 to 100 ms, 50 a second for two seconds."""


def test_percentiles_are_latencies_that_occurred() -> None:
    figures = figures_of(HUNDRED, 2)
    times = (figures.p50_ms, figures.p90_ms, figures.p95_ms, figures.p99_ms, figures.p999_ms, figures.max_ms)
    assert times == (50, 90, 95, 99, 100, 100)


def test_only_answers_have_a_latency_and_all_the_rest_failed() -> None:
    rows: list[Row] = [
        answered(0, 10),
        answered(0.1, 20),
        (0.2, 1.0, 3.0, 0, "recommend", Outcome.REFUSED),
        (0.3, 900.0, 4.0, 0, "event", Outcome.FAILED),
        (0.4, 0.0, 0.0, 0, "event", Outcome.NOT_SENT),
    ]
    figures = figures_of(table_of(rows), 2)
    assert (figures.offered, figures.answered, figures.refused, figures.failed, figures.not_sent) == (5, 2, 1, 1, 1)
    assert (figures.refused_ratio, figures.failed_ratio) == (0.2, 0.6)
    assert (figures.offered_per_s, figures.answered_per_s) == (2.5, 1)
    assert (figures.max_ms, figures.send_lag_p99_ms) == (20, 4)
    kinds = by_kind(table_of(rows), 2)
    assert [(kind, each.offered) for kind, each in kinds.items()] == [("event", 2), ("recommend", 3)]


def test_a_second_has_the_requests_that_were_to_start_in_it() -> None:
    """Whenever they were answered, and in whatever order."""
    seconds = by_second(table_of([answered(2.5, 30), answered(0.9, 5_000), answered(0.1, 10)]))
    assert [(second, each.offered, each.max_ms) for second, each in seconds.items()] == [(0, 2, 5_000), (2, 1, 30)]


def test_a_phase_has_its_own_rate_and_latencies() -> None:
    phases = phases_of("spike", 10, 10, 2)
    rows = table_of(
        [answered(1, 5, phase=0), answered(4.5, 80, phase=1), answered(4.6, 90, phase=1), answered(8, 7, phase=2)]
    )
    found = by_phase(rows, phases)
    assert [(name, each.offered_per_s, each.max_ms) for name, each in found.items()] == [
        ("before", 0.25, 5), ("spike", 1, 90), ("after", pytest.approx(0.25), 7),
    ]  # fmt: skip


def test_what_a_worker_hands_over_arrives_whole_at_the_master() -> None:
    worker, master = Samples(), Samples()
    worker.add([answered(0.123456789, 1.987654321), (1.0, 0.0, 0.0, 2, "similar", Outcome.NOT_SENT)])
    expected = worker.table().tolist()
    master.add(worker.take())  # type: ignore[arg-type]
    assert master.table().tolist() == expected
    assert worker.take() == []


def test_bounds_are_read_for_the_run_and_for_a_phase() -> None:
    assert parse_bounds(" p99_ms<=250, after.answered_per_s >= 9.5,", ("before", "after")) == (
        Bound("", "p99_ms", "<=", 250), Bound("after", "answered_per_s", ">=", 9.5),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("p99_ms<250", "bound 'p99_ms<250' must look like p99_ms<=250"),
        ("p98_ms<=1", "'p98_ms' is none of offered, answered"),
        ("night.p99_ms<=1", "no phase 'night', only before, after"),
    ],
)
def test_a_bound_that_means_nothing_is_refused(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_bounds(text, ("before", "after"))


@pytest.mark.parametrize(
    ("text", "kept"),
    [("p99_ms<=99", True), ("p99_ms<=98.9", False), ("answered_per_s>=50", True), ("answered_per_s>=50.1", False)],
)
def test_a_bound_itself_is_still_kept(text: str, kept: bool) -> None:
    (verdict,) = verdicts(parse_bounds(text, ()), figures_of(HUNDRED, 2), {})
    assert verdict.kept is kept


@pytest.mark.parametrize("text", ["p99_ms<=1000", "p99_ms>=0"])
def test_no_answer_keeps_no_bound_of_latency(text: str) -> None:
    (verdict,) = verdicts(parse_bounds(text, ()), figures_of(table_of([]), 2), {})
    assert math.isnan(verdict.measured)
    assert not verdict.kept


def test_a_run_fails_by_the_bounds_it_broke_and_names_them() -> None:
    phases = phases_of("constant", 50, 2, 3)
    run = Run({}, phases, parse_bounds("p50_ms<=50, constant.p99_ms<=90", ("constant",)), HUNDRED)
    assert run.broken == ["constant.p99_ms<=90: it is 99"]


def test_a_run_fails_when_requests_are_not_accounted_for() -> None:
    run = Run({}, phases_of("constant", 51, 2, 3), (), HUNDRED)
    assert run.broken == ["102 requests were to start, 100 are accounted for"]


def test_a_load_generator_that_is_late_is_told_of() -> None:
    rows: list[Row] = [(0.0, 60.0, 45.0, 0, "recommend", Outcome.ANSWERED)]
    run = Run({}, phases_of("constant", 1, 1, 3), (), table_of(rows))
    assert "45 ms late" in run.warnings[0]
    assert run.broken == []
