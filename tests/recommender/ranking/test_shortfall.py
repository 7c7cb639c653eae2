"""Why a list is short: in words worked out by hand, and on every route, on the genre world of 24 films."""

from __future__ import annotations

from collections.abc import AsyncIterator
from urllib.parse import unquote

import httpx
import msgspec
import numpy as np
import pytest

from bento.http.application import Application
from bento.http.request_ids import RequestIds
from bento.http.routing import Router
from bento.recommender.batch import Batch
from bento.recommender.catalogue.film_search import FilmSearch
from bento.recommender.catalogue.posters import Posters
from bento.recommender.catalogue.similarity import live_similarity
from bento.recommender.catalogue.title_search import LiveTitles
from bento.recommender.over_http.catalogue_routes import CatalogueRoutes
from bento.recommender.over_http.lists.batch_routes import REASONS_LENGTH, BatchRoutes
from bento.recommender.over_http.lists.list_routes import RecommendRoutes
from bento.recommender.over_http.lists.movie_title_routes import MovieTitleRoutes
from bento.recommender.over_http.lists.person_routes import PersonRoutes
from bento.recommender.people.person_films import PersonFilms
from bento.recommender.ranking.shortfall import OFFERED_AGAIN, Supply, too_few_neighbours, why_short
from bento.recommender.recommendations import Recommendations
from tests.recommender.genre_world import N_FILMS, films_of
from tests.recommender.world import World

ALL = "there are only 24 films"
HEADER = "x-marquee-reason"


def rows(*numbers: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    return np.array(numbers, dtype=np.int64)


def supply(possible: int, seen: tuple[int, ...] = (), excluded: tuple[int, ...] = (), filtered: bool = False) -> Supply:
    return Supply(np.arange(possible), rows(*seen), rows(*excluded), filtered)


@pytest.mark.parametrize(
    ("shown", "of", "why"),
    [
        ((0, 1, 2), supply(9), None),
        ((0, 1), supply(2), "there are only 2 films"),
        ((0,), supply(1), "there is only 1 film"),
        ((), supply(0), "there is no film"),
        ((4,), supply(5, seen=(0, 1, 1), excluded=(1, 2, 3)),
         "there are only 5 films, of which 2 already seen and 2 excluded by the request"),
        ((3,), supply(4, excluded=(0, 1, 2, 77)), "there are only 4 films, of which 3 excluded by the request"),
        ((), supply(0, filtered=True), "no film passes these filters"),
        ((0,), supply(1, filtered=True), "only 1 film passes these filters"),
        ((1,), supply(2, seen=(0, 50), filtered=True), "only 2 films pass these filters, of which 1 already seen"),
        ((2, 1, 0), supply(3, seen=(0, 1, 2)), OFFERED_AGAIN),
        ((1, 0), supply(3, seen=(0, 1), excluded=(2,)),
         f"{OFFERED_AGAIN}; there are only 3 films, of which 1 excluded by the request"),
    ],
)  # fmt: skip
def test_a_list_of_three_is_short_because(shown: tuple[int, ...], of: Supply, why: str | None) -> None:
    assert why_short(rows(*shown), 3, of) == why


def test_neighbours_are_all_films_but_one() -> None:
    assert too_few_neighbours(3, 3) is None
    assert too_few_neighbours(1, 3) == "there is only 1 other film"
    assert too_few_neighbours(0, 3) == "there are only 0 other films"


@pytest.fixture
async def client(world: World) -> AsyncIterator[httpx.AsyncClient]:
    release, ids, similarity = world.release, RequestIds("id"), live_similarity(world.release)
    recommendations = Recommendations(world.pipeline, release, ids)
    search = FilmSearch(release, world.models)
    batch = Batch(world.pipeline, release)
    routes = [
        *RecommendRoutes(recommendations).routes(),
        *PersonRoutes(recommendations, world.cards, PersonFilms(release, world.features)).routes(),
        *MovieTitleRoutes(release, world.cards, similarity, LiveTitles(release), ids).routes(),
        *CatalogueRoutes(release, world.cards, similarity, Posters(release.folder), search, ids).routes(),
        *BatchRoutes(batch, None, None, ids, release, 10**6).routes()[:1],  # type: ignore[arg-type]  # no job is put
    ]
    app = Application(Router(routes), world.metrics, 10_000)
    transport = httpx.ASGITransport(app)  # type: ignore[arg-type]
    async with httpx.AsyncClient(transport=transport, base_url="http://marquee") as client:
        yield client
    await world.pipeline.close()


@pytest.mark.parametrize("cached", [False, True])
async def test_recommend_says_it_in_the_body_from_the_cache_too(
    client: httpx.AsyncClient, world: World, cached: bool
) -> None:
    for _ in range(1 + cached):
        posted = (await client.post("/recommend", json={"history": films_of(1)[:2], "top_k": 30})).json()
        got = (await client.get("/recommend", params={"user_id": "nobody", "limit": 25})).json()
        await world.pipeline.close()
    assert (posted["cached"], got["cached"]) == (cached, cached)
    assert (len(posted["recommendations"]), posted["reason"]) == (22, f"{ALL}, of which 2 already seen")
    assert (len(got["recommendations"]), got["reason"]) == (24, ALL)
    assert (await client.get("/recommend", params={"limit": 24})).json()["reason"] is None


async def test_recommend_says_that_films_are_offered_again(client: httpx.AsyncClient) -> None:
    again = (await client.post("/recommend", json={"user_id": "everything", "top_k": 3})).json()
    assert (len(again["recommendations"]), again["reason"]) == (3, OFFERED_AGAIN)


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("/recommend/user/nobody?k=24", ""),
        ("/recommend/user/nobody?k=25", ALL),
        ("/movies/recommendations?user_id=nobody&limit=25", ALL),
        ("/movies/recommendations?user_id=nobody&limit=25&use_embeddings=false", ALL),
        ("/api/v1/recommendations/nobody?limit=25", ALL),
        ("/api/v1/recommendations/everything?limit=2", OFFERED_AGAIN),
        ("/recommend/movie?title=horror%202&k=23", ""),
        ("/recommend/movie?title=horror%202&k=24", "there are only 23 other films"),
    ],
)
async def test_routes_of_a_fixed_shape_say_it_in_a_header(client: httpx.AsyncClient, path: str, reason: str) -> None:
    response = await client.get(path)
    assert (response.status_code, response.headers[HEADER]) == (200, reason)


async def test_similar_says_it_in_a_header(client: httpx.AsyncClient) -> None:
    asked = {"movie_id": films_of(1)[0], "top_k": N_FILMS}
    assert (await client.post("/similar", json=asked)).headers[HEADER] == f"there are only {N_FILMS - 1} other films"
    assert (await client.post("/similar", json=asked | {"top_k": N_FILMS - 1})).headers[HEADER] == ""


async def test_a_batch_names_each_person_whose_list_is_short(client: httpx.AsyncClient) -> None:
    histories = {"a": [], "Zoë/7": films_of(1), "everything": None}
    response = await client.post("/batch/recommend", json={"user_histories": histories, "top_k": 24})
    people = dict(one.split(": ", 1) for one in response.headers[HEADER].split("; "))
    assert {unquote(person): why for person, why in people.items()} == {
        "Zoë/7": f"{ALL}, of which 6 already seen",
        "everything": OFFERED_AGAIN,
    }
    assert len(response.json()["results"]["Zoë/7"]) == 18


async def test_a_large_batch_does_not_burst_the_header(client: httpx.AsyncClient) -> None:
    people = dict.fromkeys((f"{n:0128}" for n in range(100)), None)
    response = await client.post(
        "/batch/recommend", content=msgspec.json.encode({"user_histories": people, "top_k": 25})
    )
    *named, rest = response.headers[HEADER].split("; ")
    assert len(response.headers[HEADER]) < REASONS_LENGTH + 20
    assert (len(named) > 5, rest) == (True, f"and {100 - len(named)} more")
