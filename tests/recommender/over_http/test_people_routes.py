"""People over ASGI: whom the release knows, and what they have watched."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import numpy as np
import pytest

from bento.http.application import Application
from bento.http.request_ids import RequestIds
from bento.http.routing import Router
from bento.recommender.over_http.people.people_routes import PeopleRoutes
from bento.recommender.people.favourites import favourite_genres
from bento.stores.errors import StoreUnavailable
from bento.stores.person import CLICKED, PersonState, WatchEvent
from features.catalog import GENRES
from features.history import WatchHistory
from tests.recommender.genre_world import movie_id
from tests.recommender.world import World


@pytest.fixture
async def client(world: World) -> AsyncIterator[httpx.AsyncClient]:
    routes = PeopleRoutes(world.release, world.cards, world.features, RequestIds("id")).routes()
    app = Application(Router(routes), world.metrics, 1_024)
    transport = httpx.ASGITransport(app)  # type: ignore[arg-type]
    async with httpx.AsyncClient(transport=transport, base_url="http://marquee") as client:
        yield client


async def test_people_come_in_the_order_of_the_data(client: httpx.AsyncClient) -> None:
    response = await client.get("/people")
    assert response.json() == {
        "people": [
            {"user_id": "ann", "total_ratings": 2, "genres": ["Comedy"]},
            {"user_id": "7", "total_ratings": 1, "genres": ["War"]},
            {"user_id": "everything", "total_ratings": 24, "genres": []},  # likes nothing more than anything else
        ],
        "total": 3,
        "simulated": True,
    }
    assert response.headers["x-marquee-release"] == "1"


async def test_people_are_paged(client: httpx.AsyncClient) -> None:
    body = (await client.get("/people", params={"offset": 1, "limit": 1})).json()
    assert ([person["user_id"] for person in body["people"]], body["total"]) == (["7"], 3)


async def test_people_are_found_by_the_beginning_of_their_id(client: httpx.AsyncClient) -> None:
    body = (await client.get("/people", params={"q": "an"})).json()
    assert ([person["user_id"] for person in body["people"]], body["total"]) == (["ann"], 1)


async def test_a_person_shows_films_newest_first(client: httpx.AsyncClient) -> None:
    body = (await client.get("/people/ann")).json()
    assert [film["movie_id"] for film in body["history"]] == [movie_id(0, 4), movie_id(0, 3)]
    newest = body["history"][0]
    assert (newest["title"], newest["year"], newest["rating"], newest["timestamp"]) == ("Comedy 4", 1994, 4.0, 172_800)
    assert (body["total_ratings"], body["genres"], body["degraded"]) == (2, ["Comedy"], [])


async def test_what_somebody_did_since_is_there(client: httpx.AsyncClient, world: World) -> None:
    await world.features.append("ann", [WatchEvent(movie_id(1, 0), 5.0, 1_700_000_000)])
    body = (await client.get("/people/ann", params={"limit": 1})).json()
    assert [(film["movie_id"], film["rating"]) for film in body["history"]] == [(movie_id(1, 0), 5.0)]
    assert body["total_ratings"] == 3


async def test_a_film_that_was_only_clicked_was_not_watched(client: httpx.AsyncClient, world: World) -> None:
    await world.features.append("ann", [WatchEvent(movie_id(1, 0), CLICKED, 1_700_000_000)])
    assert (await client.get("/people/ann")).json()["total_ratings"] == 2


async def test_of_a_stranger_nothing_is_known(client: httpx.AsyncClient) -> None:
    body = (await client.get("/people/nobody at all")).json()
    expected = {"user_id": "nobody at all", "total_ratings": 0, "genres": [], "history": [], "degraded": []}
    assert body == expected


async def test_without_the_store_the_release_answers(
    client: httpx.AsyncClient, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def dead(_: str) -> PersonState:
        raise StoreUnavailable("it was shot")

    monkeypatch.setattr(world.features, "read", dead)
    body = (await client.get("/people/ann")).json()
    assert (body["total_ratings"], body["degraded"]) == (2, ["feature_store"])


@pytest.mark.parametrize("query", ["limit=0", "limit=101", "offset=-1", "lim=3"])
async def test_a_wrong_query_is_refused(client: httpx.AsyncClient, query: str) -> None:
    response = await client.get(f"/people?{query}")
    assert (response.status_code, response.json()["error"]["code"]) == (422, "invalid_request")


def test_favourite_genres_are_those_liked_more_than_chance() -> None:
    """Four films: drama, drama, drama with horror, horror. Horror is half of the catalogue, drama three quarters."""
    matrix = np.zeros((4, len(GENRES)), dtype=np.float32)
    drama, horror = GENRES.index("Drama"), GENRES.index("Horror")
    matrix[:3, drama] = 1
    matrix[2:, horror] = 1
    history = WatchHistory(np.array([2, 3, 0]), np.array([4.0, 0.0, 1.0], np.float32), np.zeros(3, np.int64))
    # Liked are films 2 and 3 (the first was rated 1): horror 2 of 2 against 1 expected, drama 1 against 1.5.
    assert favourite_genres(history, matrix) == ["Horror"]


def test_nobody_who_liked_nothing_has_favourites() -> None:
    matrix = np.ones((1, len(GENRES)), dtype=np.float32)
    history = WatchHistory(np.array([0]), np.array([2.0], np.float32), np.zeros(1, np.int64))
    assert favourite_genres(history, matrix) == []
