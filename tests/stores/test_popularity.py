"""Online popularity: in memory, on a Redis, on a cluster."""

from __future__ import annotations

import pytest

from bento.stores.popularity import HALF_LIFE_S, PopularityStore, RedisPopularity
from tests.stores.examples import REAL
from tests.stores.memory_stores import MemoryPopularity

NOW_S = 2_100_000_000.0
"""2036: the sums are some 2^550 by then."""


@pytest.fixture(params=["memory", *REAL])
def popularity(request: pytest.FixtureRequest) -> PopularityStore:
    if request.param == "memory":
        return MemoryPopularity()
    return RedisPopularity(request.getfixturevalue(request.param), "test")


async def test_events_add_up_and_fade(popularity: PopularityStore) -> None:
    for movie_id, weight, age_s in [(1, 1.0, 0.0), (2, 2.0, HALF_LIFE_S), (2, 2.0, HALF_LIFE_S), (3, 0.25, 0.0)]:
        await popularity.add(movie_id, weight, NOW_S - age_s)
    assert await popularity.top(2, NOW_S) == pytest.approx({2: 2.0, 1: 1.0})
    assert list(await popularity.top(9, NOW_S)) == [2, 1, 3]


async def test_ids_that_differ_are_counted_apart(popularity: PopularityStore) -> None:
    for movie_id, weight in [(7, 1.0), ("007", 2.0), ("tt7", 3.0), (7, 3.5)]:
        await popularity.add(movie_id, weight, NOW_S)
    assert await popularity.top(9, NOW_S) == pytest.approx({7: 4.5, "tt7": 3.0, "007": 2.0})


async def test_an_event_of_long_ago_counts_nothing(popularity: PopularityStore) -> None:
    await popularity.add(1, 1.0, 0.0)
    assert (await popularity.top(1, NOW_S))[1] == pytest.approx(0)


async def test_nothing_counted_is_nothing_popular(popularity: PopularityStore) -> None:
    assert await popularity.top(5, NOW_S) == {}
