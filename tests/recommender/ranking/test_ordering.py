"""What a request, the settings and newcomers wish of a list: diversity, freshness, genres."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import httpx
import pytest

from bento.http.application import Application
from bento.http.request_ids import RequestIds
from bento.http.routing import Router
from bento.recommender.over_http.people.taste_routes import TasteRoutes
from bento.recommender.people.events import Feedback
from bento.recommender.people.tastes import Tastes
from bento.recommender.ranking.ordering import Ordering, Preferences
from bento.stores.person import WatchEvent
from bento.stores.spool import Spool
from features.catalog import GENRES
from tests.recommender.genre_world import films_of
from tests.recommender.world import World
from tests.stores.memory_stores import MemoryEventLog

COMEDY, HORROR, SCI_FI, WAR = range(4)
TASTE = '"history": [202, 203, 302]'


def genres_of(movie_ids: list[object]) -> list[int]:
    return [int(movie_id) // 100 - 1 for movie_id in movie_ids]  # type: ignore[call-overload]


async def test_diversity_mixes_what_the_scores_keep_apart(world: World) -> None:
    by_score = await world.ask('{%s, "top_k": 4}' % TASTE)  # noqa: UP031
    mixed = await world.ask('{%s, "top_k": 4, "diversity": 0.5}' % TASTE)  # noqa: UP031
    assert genres_of(by_score.movie_ids) == [HORROR] * 4
    assert len(set(genres_of(mixed.movie_ids))) >= 3
    assert mixed.movie_ids[0] == by_score.movie_ids[0]


async def test_freshness_brings_recent_films_forward(world: World) -> None:
    by_score = await world.ask('{"history": [202], "top_k": 5}')
    fresh = await world.ask('{"history": [202], "top_k": 5, "freshness": 1}')
    assert by_score.movie_ids == [200, 201, 203, 204, 205]  # film j is from the year 1990 + j
    assert fresh.movie_ids.index(205) < by_score.movie_ids.index(205)


async def test_seen_and_excluded_films_stay_out_and_k_stays_k(world: World) -> None:
    answered = await world.ask('{"user_id": "ann", "exclude": [100], "top_k": 12, "diversity": 0.7}')
    assert len(answered.movie_ids) == len(set(answered.movie_ids)) == 12
    assert not {100, 103, 104} & set(answered.movie_ids)


async def test_the_settings_apply_where_the_request_says_nothing(
    make_world: Callable[..., World], world: World
) -> None:
    asked = '{%s, "top_k": 4%s}'
    set_so = make_world(ordering=Ordering(world.release, Preferences(diversity=0.5)))
    wished = await world.ask(asked % (TASTE, ', "diversity": 0.5'))
    assert (await set_so.ask(asked % (TASTE, ""))).movie_ids == wished.movie_ids
    assert genres_of((await set_so.ask(asked % (TASTE, ', "diversity": 0'))).movie_ids) == [HORROR] * 4


async def test_a_disliked_film_is_gone_from_the_next_answer(world: World) -> None:
    before = await world.ask('{"user_id": "ann", "top_k": 5}')
    disliked = before.movie_ids[0]
    await world.features.append("ann", [WatchEvent(int(disliked), 0.5, 10**9)])  # type: ignore[call-overload]
    after = await world.ask('{"user_id": "ann", "top_k": 24}')
    assert not after.cached
    assert disliked not in after.movie_ids


# ColdStart


@pytest.fixture
async def client(world: World, tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    feedback = Feedback(world.features, MemoryEventLog(), Spool(tmp_path / "events.jsonl"))
    routes = TasteRoutes(Tastes(world.features, feedback, world.release, RequestIds("id"))).routes()
    app = Application(Router(routes), world.metrics, 10_000)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://m") as client:  # type: ignore[arg-type]
        yield client


async def test_chosen_genres_come_first_until_there_is_a_history(client: httpx.AsyncClient, world: World) -> None:
    answer = await client.put("/people/new/taste", json={"genres": ["war", "Sci-Fi"]})
    assert answer.json() == {"success": True, "user_id": "new", "genres": ["War", "Sci-Fi"], "liked": []}
    answered = await world.ask('{"user_id": "new", "top_k": 12}')
    assert answered.strategy == "cold_start"
    assert set(answered.movie_ids) == {*films_of(SCI_FI), *films_of(WAR)}
    assert genres_of(answered.movie_ids[:2]) in ([SCI_FI, WAR], [WAR, SCI_FI])
    assert len((await world.ask('{"user_id": "new", "top_k": 24}')).movie_ids) == 24


async def test_liked_films_are_a_history_from_the_start(client: httpx.AsyncClient, world: World) -> None:
    await client.put("/people/new/taste", json={"liked": [302, "303"]})
    answered = await world.ask('{"user_id": "new", "top_k": 2}')
    assert (answered.strategy, answered.movie_ids) == ("hybrid", [300, 301])


async def test_a_later_choice_replaces_the_genres(client: httpx.AsyncClient, world: World) -> None:
    await client.put("/people/new/taste", json={"genres": ["War"]})
    await world.ask('{"user_id": "new", "top_k": 6}')
    await client.put("/people/new/taste", json={"genres": ["Horror"]})
    answered = await world.ask('{"user_id": "new", "top_k": 6}')
    assert set(answered.movie_ids) == set(films_of(HORROR))


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"genres": ["Gossip"]}, 422, "invalid_request"),
        ({"genres": ["War"], "liked": [999]}, 404, "unknown_movie"),
        ({"genre": ["War"]}, 422, "invalid_request"),
    ],
)
async def test_what_cannot_be_kept_keeps_nothing(
    client: httpx.AsyncClient, world: World, body: dict[str, object], status: int, code: str
) -> None:
    response = await client.put("/people/new/taste", json=body)
    assert (response.status_code, response.json()["error"]["code"]) == (status, code)
    assert (await world.features.read("new")).version == 0


def test_every_genre_fits_into_a_state() -> None:
    assert len(GENRES) <= 24  # 32 flags, of which the genres begin at the ninth
