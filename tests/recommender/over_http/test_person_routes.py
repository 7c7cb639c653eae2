"""Recommendations in fixed shapes, on the genre world, whose answers are known."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest

from bento.http.application import Application
from bento.http.request_ids import RequestIds
from bento.http.routing import Router
from bento.recommender.catalogue.similarity import live_similarity
from bento.recommender.catalogue.title_search import LiveTitles
from bento.recommender.over_http.lists.movie_title_routes import MovieTitleRoutes
from bento.recommender.over_http.lists.person_routes import PersonRoutes
from bento.recommender.people.person_films import PersonFilms
from bento.recommender.ranking.neural_sources import without_embeddings
from bento.recommender.recommendations import Recommendations
from bento.stores.errors import StoreUnavailable
from bento.stores.person import WatchEvent
from tests.recommender.genre_world import WEIGHTS, movie_id
from tests.recommender.world import World


@pytest.fixture
async def client(world: World) -> AsyncIterator[httpx.AsyncClient]:
    release, ids = world.release, RequestIds("id")
    recommendations = Recommendations(world.pipeline, release, ids)
    titles = LiveTitles(release)
    routes = [
        *PersonRoutes(recommendations, world.cards, PersonFilms(release, world.features)).routes(),
        *MovieTitleRoutes(release, world.cards, live_similarity(release), titles, ids).routes(),
    ]
    app = Application(Router(routes), world.metrics, 1_024)
    transport = httpx.ASGITransport(app)  # type: ignore[arg-type]
    async with httpx.AsyncClient(transport=transport, base_url="http://marquee") as client:
        yield client


async def test_a_title_with_a_slip_finds_the_films_of_its_genre(client: httpx.AsyncClient) -> None:
    body = (await client.get("/recommend/movie", params={"title": "horor 2", "k": 3})).json()
    assert body["query_movie"]["movie_id"] == movie_id(1, 2)
    others = {movie_id(1, j) for j in (0, 1, 3, 4, 5)}
    assert {film["movie_id"] for film in body["recommendations"]} < others
    assert [film["similarity_score"] for film in body["recommendations"]] == [1.0, 1.0, 1.0]


async def test_the_year_behind_a_title_decides_between_films_of_like_titles(client: httpx.AsyncClient) -> None:
    for year in (1990, 1993):
        body = (await client.get("/recommend/movie", params={"title": f"Comedy ({year})"})).json()
        assert body["query_movie"]["year"] == year


async def test_a_person_is_counted_by_what_they_watched_and_liked(client: httpx.AsyncClient, world: World) -> None:
    await world.features.append("new", [WatchEvent(movie_id(1, j), stars, 10 + j) for j, stars in enumerate((5, 2, 0))])
    body = (await client.get("/recommend/user/new", params={"k": 3})).json()
    assert body["user_stats"] == {"total_ratings": 3, "liked_movies": 2}
    assert [film["movie_id"] for film in body["recommendations"]] == [movie_id(1, j) for j in (3, 4, 5)]


async def test_a_stranger_is_told_to_be_one(client: httpx.AsyncClient) -> None:
    body = (await client.get("/recommend/user/who?k=3")).json()
    assert (body["method"], body["count"]) == ("cold_start", 3)
    assert body["user_stats"] == {"total_ratings": 0, "liked_movies": 0}


async def test_what_failed_is_named_once_in_the_headers(
    client: httpx.AsyncClient, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def dead(_: str) -> None:
        raise StoreUnavailable("it was shot")

    monkeypatch.setattr(world.features, "read", dead)
    world.models.failing.add("user_tower")
    response = await client.get("/recommend/user/ann")
    assert response.headers["x-marquee-degraded"] == "feature_store,two_tower"
    assert response.json()["user_stats"]["total_ratings"] == 2


async def test_without_embeddings_no_neural_source_weighs_anything(client: httpx.AsyncClient, world: World) -> None:
    assert (await client.get("/movies/recommendations?user_id=ann&use_embeddings=false")).status_code == 200
    (weights,) = [request.inputs["weights"] for request in world.models.requests if "weights" in request.inputs]
    assert weights.tolist() == [[0, 0, 1, 0, 0, pytest.approx(0.1), 1]]
    assert without_embeddings({"text": 1.0, "sequence": 2.0}) == {"ease": 1.0}
    assert without_embeddings(WEIGHTS) == {"ials": 1.0, "popularity": 0.1, "ease": 1.0}


async def test_use_cache_false_computes_anew(client: httpx.AsyncClient, world: World) -> None:
    for query, cached in (("", False), ("", True), ("&use_cache=false", False), ("", True)):
        body = (await client.get(f"/api/v1/recommendations/ann?limit=2{query}")).json()
        await world.pipeline.close()
        assert body["cached"] is cached
