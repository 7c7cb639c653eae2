"""Which signal is a second one."""

from __future__ import annotations

from bento.end_signals import EndSignals


class Clock:
    now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def test_what_comes_with_the_first_signal_is_the_first_signal() -> None:
    clock = Clock()
    signals = EndSignals(clock)
    assert not signals.is_second()
    clock.now_s = 100.5
    assert not signals.is_second()


def test_what_comes_later_is_a_second_signal() -> None:
    clock = Clock()
    signals = EndSignals(clock)
    assert not signals.is_second()
    clock.now_s = 100.51
    assert signals.is_second()
