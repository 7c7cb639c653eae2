"""Online popularity: what events add up to, how it fades, and who sees it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from bento.recommender.people.events import Event
from bento.recommender.ranking.cold_start import ColdStart
from bento.recommender.ranking.trending import HALF_BOOST, Trending
from bento.stores.errors import StoreUnavailable
from bento.stores.popularity import HALF_LIFE_S
from tests.recommender.world import World
from tests.stores.memory_stores import MemoryPopularity

NOW_S = 1_800_000_000.0


def event(movie_id: int, event_type: str = "view", rating: float = 0.0, age_s: float = 0.0) -> Event:
    return Event("e", "p", movie_id, event_type, rating, int(NOW_S - age_s), NOW_S)  # type: ignore[arg-type]


@pytest.fixture
def store() -> MemoryPopularity:
    return MemoryPopularity()


@pytest.fixture
def trending(store: MemoryPopularity) -> Trending:
    return Trending(store, lambda: NOW_S)


async def test_a_view_of_last_week_counts_half(trending: Trending, store: MemoryPopularity) -> None:
    await trending.follow(event(1))
    await trending.follow(event(2, age_s=HALF_LIFE_S))
    assert await store.top(5, NOW_S) == pytest.approx({1: 1.0, 2: 0.5}, rel=1e-5)
    assert await store.top(5, NOW_S + HALF_LIFE_S) == pytest.approx({1: 0.5, 2: 0.25}, rel=1e-5)


@pytest.mark.parametrize(
    ("event_type", "rating", "weight"),
    [("click", -1, 0.25), ("view", 0, 1), ("like", 5, 1.5), ("purchase", 0, 2), ("rate", 4, 1)],
)
async def test_what_people_take_up_counts(
    trending: Trending, store: MemoryPopularity, event_type: str, rating: float, weight: float
) -> None:
    await trending.follow(event(1, event_type, rating))
    assert await store.top(1, NOW_S) == pytest.approx({1: weight})


@pytest.mark.parametrize(("event_type", "rating"), [("dislike", 0.5), ("rate", 2.0)])
async def test_what_people_refuse_makes_nothing_popular(
    trending: Trending, store: MemoryPopularity, event_type: str, rating: float
) -> None:
    await trending.follow(event(1, event_type, rating))
    assert await store.top(1, NOW_S) == {}


async def test_strangers_see_what_is_popular_now(
    make_world: Callable[..., World], trending: Trending, store: MemoryPopularity, world: World
) -> None:
    shown = make_world(cold_start=ColdStart(world.release, trending), cache_ttl_s=0)
    before = await shown.ask('{"user_id": "nobody", "top_k": 4}')
    assert 405 not in before.movie_ids  # the least popular film of the release
    await store.add(405, HALF_BOOST * 20, NOW_S)  # 20/21 above its rank, so about 1
    await store.add(305, HALF_BOOST * 400, NOW_S)
    await trending.refresh()
    after = await shown.ask('{"user_id": "nobody", "top_k": 4}')
    assert {305, 405} & set(after.movie_ids)
    assert trending.revision == 1
    await trending.refresh()
    assert trending.revision == 1


async def test_one_click_moves_nothing(trending: Trending, world: World) -> None:
    films = world.release.films
    before = trending.popularity(films)
    await trending.follow(event(405, "click", -1))
    await trending.refresh()
    # 0.25 / 20.25 = .012 of the way; the ranks of 24 films are 1/23 = .043 apart.
    assert float((trending.popularity(films) - before).max()) == pytest.approx(0.0123, abs=1e-4)


async def test_without_redis_it_stays_as_it_was(trending: Trending, store: MemoryPopularity) -> None:
    async def away(*_: object) -> None:
        raise StoreUnavailable("gone")

    await store.add(1, 50, NOW_S)
    await trending.refresh()
    store.top = away  # type: ignore[method-assign,assignment]
    await trending.refresh()
    assert trending.revision == 1
