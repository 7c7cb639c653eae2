"""What `make chaos` asks and how it tells a leak from what wobbles, without a server."""

from __future__ import annotations

from collections import Counter

import pytest

from loadtest.memory import MemorySeries
from loadtest.soak import Soaked
from loadtest.soak_mix import STAYING, Mix
from loadtest.workload import Workload

MINUTES = [second / 1.0 for second in range(901)]


def test_memory_that_fills_first_and_stays_then_is_flat() -> None:
    filling = MemorySeries(MINUTES, [300 + min(second, 250) * 0.4 for second in MINUTES])
    assert filling.growth_mib() == 0


def test_a_leak_is_measured_through_garbage_that_comes_and_goes() -> None:
    leaking = MemorySeries(MINUTES, [400 + second * 0.01 + 20 * (second % 97 == 0) for second in MINUTES])
    assert leaking.growth_mib() == pytest.approx(6, rel=0.01)  # 0.01 MiB a second for the last 600
    soaked = Soaked(100, latencies_ms=[1.0] * 90_000, memory={"worker": leaking})
    assert soaked.grown_bytes_per_request("worker") == pytest.approx(6 * 2**20 / 60_000, rel=0.01)


def test_memory_is_read_at_a_moment() -> None:
    assert MemorySeries([0.0, 10.0, 20.0], [1.0, 2.0, 3.0]).at(13) == 2


def test_the_same_seed_asks_the_same() -> None:
    first, second = (Mix(Workload(tuple(range(1, 100))), seed=5) for _ in range(2))
    assert [first.next_call() for _ in range(500)] == [second.next_call() for _ in range(500)]


def test_newcomers_leave_so_that_what_is_stored_of_people_stops_growing() -> None:
    mix = Mix(Workload(tuple(range(1, 100))), seed=5)
    calls = [mix.next_call() for _ in range(40_000)]
    kinds = Counter(call.kind for call in calls)
    newcomers = {
        call.body["user_id"] for call in calls if call.body and str(call.body.get("user_id")).startswith("newcomer")
    }
    assert len(kinds) == 11
    assert len(newcomers) - kinds["forget"] in (STAYING, STAYING + 1)
    assert len({call.path for call in calls if call.kind == "forget"}) == kinds["forget"]
