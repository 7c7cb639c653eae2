"""Films added to the running service: placed by the served encoders, found by every route, gone when removed."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image, ImageDraw

from tests.conftest import Service

pytestmark = pytest.mark.integration

FILM = {
    "title": "The Last Orbit of Captain Vey",
    "year": 2024,
    "genres": ["Sci-Fi", "Thriller"],
    "overview": "A stranded astronaut aboard a damaged space station hears an alien signal that knows her name.",
    "director": "Ines Vey",
    "cast": ["Otto Lund"],
    "country": "Iceland",
}


def drawn() -> str:
    picture = Image.new("RGB", (200, 300), "navy")
    ImageDraw.Draw(picture).ellipse((40, 80, 160, 200), "silver")
    content = io.BytesIO()
    picture.save(content, "PNG")
    return base64.b64encode(content.getvalue()).decode()


@pytest.fixture(scope="module")
def client(service: Service) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=service.url, timeout=60) as client:
        yield client


@pytest.fixture(scope="module")
def film(client: httpx.Client) -> Iterator[dict[str, Any]]:
    response = client.post("/admin/movies", json=FILM | {"poster": drawn()})
    assert response.status_code == 201, response.text
    yield response.json()["movie"]
    client.delete(f"/admin/movies/{response.json()['movie']['movie_id']}")


def test_an_added_film_is_found_by_title_and_by_meaning(client: httpx.Client, film: dict[str, Any]) -> None:
    by_title = client.get("/search", params={"q": "captain vey"}).json()["films"]
    by_meaning = client.get("/search", params={"q": "lonely astronaut on a broken station hears aliens"}).json()
    assert by_title[0]["movie_id"] == film["movie_id"]
    assert film["movie_id"] in [found["movie_id"] for found in by_meaning["films"]]
    assert client.get(film["poster_url"]).headers["content-type"] == "image/jpeg"


def test_an_added_film_lies_among_films_of_its_kind(client: httpx.Client, film: dict[str, Any]) -> None:
    for by in ("text", "blend", "collaborative"):
        question = {"movie_id": film["movie_id"], "top_k": 10, "by": by}
        similar = client.post("/similar", json=question).json()["similar"]
        genres = [client.get(f"/movie/{one['movie_id']}").json()["genres"] for one in similar]
        assert sum("Sci-Fi" in each for each in genres) >= 6, (by, genres)  # one film in eight is Sci-Fi


def test_an_added_film_is_recommended_to_whom_it_suits(client: httpx.Client, film: dict[str, Any]) -> None:
    suits, suits_not = ([one["movie_id"] for one in _films(client, genre)] for genre in ("Sci-Fi", "Romance"))
    ranks = [_rank(client, history[:12], film["movie_id"]) for history in (suits, suits_not)]
    assert ranks[0] < 100 < ranks[1], ranks


def test_filters_reach_an_added_film(client: httpx.Client, film: dict[str, Any]) -> None:
    for filters in ({"people": ["otto lund"]}, {"country": "Iceland", "min_year": 2024}):
        answer = client.post("/recommend/filtered", json={"user_id": "1", "top_k": 3, **filters}).json()
        assert film["movie_id"] in [one["movie_id"] for one in answer["recommendations"]]


def test_health_counts_the_films_that_are_shown(client: httpx.Client) -> None:
    def loaded() -> int:
        return int(client.get("/health").json()["movies_loaded"])

    before = loaded()
    added = client.post("/admin/movies", json={"title": "The Tide Clerk", "year": 2025}).json()["movie"]
    assert loaded() == before + 1
    client.delete(f"/admin/movies/{added['movie_id']}")
    assert loaded() == before


def test_a_film_of_the_release_added_again_gets_its_own_place(client: httpx.Client) -> None:
    """Told with the words and the poster of a film that is there, a new one is that film's nearest neighbour."""
    known = client.get("/movie/1").json()
    said = {
        name: known[name] for name in ("title", "year", "genres", "director", "cast", "country", "overview", "tags")
    }
    poster = base64.b64encode(client.get("/poster/1").content).decode()
    added = client.post("/admin/movies", json=said | {"allow_same_title": True, "poster": poster}).json()["movie"]
    try:
        for by, least in (("text", 0.999), ("poster", 0.9)):  # the poster was compressed once more
            question = {"movie_id": added["movie_id"], "top_k": 1, "by": by}
            (nearest,) = client.post("/similar", json=question).json()["similar"]
            assert nearest["movie_id"] == 1
            assert nearest["similarity"] > least
    finally:
        client.delete(f"/admin/movies/{added['movie_id']}")


def _films(client: httpx.Client, genre: str) -> list[dict[str, Any]]:
    films: list[dict[str, Any]] = client.get("/movies", params={"genre": genre, "page_size": 30}).json()["movies"]
    return films


def _rank(client: httpx.Client, history: list[int], movie_id: int) -> int:
    answer = client.post("/recommend", json={"history": history, "top_k": 1000}).json()
    listed = np.array([one["movie_id"] for one in answer["recommendations"]])
    return int(np.flatnonzero(listed == movie_id)[0])
