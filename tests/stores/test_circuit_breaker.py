"""The circuit breaker on a clock that the test moves."""

from __future__ import annotations

from bento.stores.connection.circuit_breaker import CircuitBreaker


class Clock:
    now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def test_a_closed_breaker_allows_everything() -> None:
    breaker = CircuitBreaker(1.0, Clock())
    assert [breaker.allows() for _ in range(3)] == [True, True, True]
    assert not breaker.is_open


def test_an_open_breaker_refuses_until_the_retry_and_then_allows_one_probe() -> None:
    clock = Clock()
    breaker = CircuitBreaker(1.0, clock)
    assert breaker.fail("it hung") is True
    assert breaker.fail("it hung") is False  # it was open already
    clock.now_s += 0.999
    assert not breaker.allows()
    clock.now_s += 0.001
    assert [breaker.allows() for _ in range(3)] == [True, False, False]
    assert (breaker.is_open, breaker.reason) == (True, "it hung")


def test_a_successful_probe_closes_it() -> None:
    clock = Clock()
    breaker = CircuitBreaker(1.0, clock)
    breaker.fail("gone")
    clock.now_s += 1
    assert breaker.allows()
    assert breaker.succeed() is True
    assert breaker.succeed() is False
    assert not breaker.is_open
    assert breaker.allows()


def test_a_failed_probe_opens_it_for_another_while() -> None:
    clock = Clock()
    breaker = CircuitBreaker(1.0, clock)
    breaker.fail("gone")
    clock.now_s += 1
    assert breaker.allows()
    breaker.fail("still gone")
    clock.now_s += 0.5
    assert not breaker.allows()
    clock.now_s += 0.5
    assert breaker.allows()
