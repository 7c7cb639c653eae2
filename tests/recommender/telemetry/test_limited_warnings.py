"""Warnings that every request would repeat are counted, not repeated."""

from __future__ import annotations

import logging
from collections.abc import Callable

import pytest

from bento.recommender.retrieval.deadlines import Deadlines
from bento.recommender.telemetry.limited_warnings import INTERVAL_S, LimitedWarnings
from tests.recommender.world import World

log = logging.getLogger("marquee.recommender")


class Timers:
    """Time that passes when it is told to."""

    def __init__(self) -> None:
        self.waiting: list[Callable[[], None]] = []

    def later(self, delay_s: float, act: Callable[[], None]) -> None:
        assert delay_s == INTERVAL_S
        self.waiting.append(act)

    def pass_by(self) -> None:
        due, self.waiting = self.waiting, []
        for act in due:
            act()


@pytest.fixture
def timers() -> Timers:
    return Timers()


@pytest.fixture
def warnings(timers: Timers) -> LimitedWarnings:
    return LimitedWarnings(log, later=timers.later)


def test_the_first_is_said_at_once_and_the_rest_are_summed_up(
    warnings: LimitedWarnings, timers: Timers, caplog: pytest.LogCaptureFixture
) -> None:
    for number in range(300):
        warnings.warn("ease is left out", f"late by {number} ms")
    warnings.warn("retrieval is left out", "late")
    assert caplog.messages == ["ease is left out: late by 0 ms", "retrieval is left out: late"]
    timers.pass_by()
    assert caplog.messages[2:] == ["ease is left out, 299 more in 10 s: late by 299 ms"]


def test_it_goes_on_as_long_as_it_happens_and_begins_anew_after_a_quiet_interval(
    warnings: LimitedWarnings, timers: Timers, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(2):
        warnings.warn("ease is left out", "late")
    timers.pass_by()
    warnings.warn("ease is left out", "failed")
    timers.pass_by()
    assert caplog.messages[1:] == [
        "ease is left out, 1 more in 10 s: late",
        "ease is left out, 1 more in 10 s: failed",
    ]
    timers.pass_by()
    assert timers.waiting == []
    warnings.warn("ease is left out", "late again")
    assert caplog.messages[-1] == "ease is left out: late again"


async def test_a_source_that_fails_every_request_is_one_line_and_counted_exactly(
    make_world: Callable[..., World], caplog: pytest.LogCaptureFixture
) -> None:
    world = make_world(hybrid=False, deadlines=Deadlines(5, 5, 20))
    world.models.failing.add("sequence_encoder")
    for top_k in range(1, 21):
        await world.ask(f'{{"history": [202], "top_k": {top_k}}}')
    assert [line.startswith("sequence_encoder is left out") for line in caplog.messages] == [True]
    assert world.metric("recsys_degraded_total", part="sequence") == 20
