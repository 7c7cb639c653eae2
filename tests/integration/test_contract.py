"""Routes whose shape is fixed, asked of a running service: exactly these fields, and their values fit."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.conftest import Service

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900)]

FILM = {"movie_id", "score", "title", "genres", "year", "poster_url"}
HEADERS = {
    "x-marquee-release",
    "x-request-id",
    "x-marquee-recommendation-id",
    "x-marquee-timings-ms",
    "x-marquee-degraded",
    "x-marquee-cached",
    "x-marquee-reason",
}


SENT_AS = {"application/json": "json", "application/x-www-form-urlencoded": "data", "image/jpeg": "content"}


@pytest.fixture
def client(service: Service) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=service.url, timeout=30) as client:
        yield client


def test_recommend_by_title(client: httpx.Client) -> None:
    answer = client.get("/recommend/movie", params={"title": "godfahter", "k": 3})
    body = answer.json()
    assert answer.status_code == 200, body
    assert set(body) == {"success", "method", "query_movie", "recommendations", "count"}
    assert (body["success"], body["method"], body["count"]) == (True, "content-based", 3)
    assert body["query_movie"]["title"].startswith("The Godfather")
    assert set(body["query_movie"]) == {"movie_id", "title", "genres", "year", "poster_url"}
    assert all(set(film) == FILM - {"score"} | {"similarity_score"} for film in body["recommendations"])
    scores = [film["similarity_score"] for film in body["recommendations"]]
    assert scores == sorted(scores, reverse=True)
    assert answer.headers["x-marquee-release"]
    assert answer.headers["x-request-id"]
    assert answer.headers["x-marquee-reason"] == ""


def test_recommend_by_title_returns_1_to_50_films(client: httpx.Client) -> None:
    assert client.get("/recommend/movie", params={"title": "jaws", "k": 50}).json()["count"] == 50
    for k in ("0", "51", "many"):
        answer = client.get("/recommend/movie", params={"title": "jaws", "k": k})
        assert (answer.status_code, answer.json()["error"]["detail"]["field"]) == (422, "k")


def test_recommend_to_a_user(client: httpx.Client) -> None:
    answer = client.get("/recommend/user/1", params={"k": 4})
    body = answer.json()
    assert answer.status_code == 200, body
    assert set(body) == {"success", "method", "user_id", "user_stats", "recommendations", "count"}
    assert (body["success"], body["method"], body["user_id"], body["count"]) == (True, "hybrid", "1", 4)
    assert set(body["user_stats"]) == {"total_ratings", "liked_movies"}
    assert body["user_stats"]["total_ratings"] >= body["user_stats"]["liked_movies"] > 0
    assert all(set(film) == FILM for film in body["recommendations"])
    assert set(answer.headers) >= HEADERS


def test_movies_recommendations_are_a_bare_list(client: httpx.Client) -> None:
    answer = client.get("/movies/recommendations", params={"user_id": 1, "limit": 3})
    films = answer.json()
    assert answer.status_code == 200, films
    assert isinstance(films, list)
    assert len(films) == 3
    assert all(film["title"] and 0.5 <= film["vote_average"] <= 5 for film in films)
    assert set(answer.headers) >= HEADERS


def test_movies_recommendations_without_embeddings_are_others(client: httpx.Client) -> None:
    def movie_ids(use: str) -> list[int]:
        query = {"user_id": 1, "limit": 20, "use_embeddings": use}
        return [film["movie_id"] for film in client.get("/movies/recommendations", params=query).json()]

    with_embeddings, without = movie_ids("true"), movie_ids("false")
    assert len(without) == 20
    assert with_embeddings != without


def test_versioned_recommendations_say_whether_they_were_cached(client: httpx.Client) -> None:
    def ask(**query: Any) -> dict[str, Any]:
        answer = client.get("/api/v1/recommendations/versioned-1", params={"limit": 2, **query})
        assert answer.status_code == 200, answer.text
        assert set(answer.headers) >= HEADERS
        body: dict[str, Any] = answer.json()
        return body

    first, second, anew = ask(), ask(), ask(use_cache="false")
    assert set(first) == {"user_id", "recommendations", "cached"}
    assert (first["user_id"], len(first["recommendations"])) == ("versioned-1", 2)
    assert [first["cached"], second["cached"], anew["cached"]] == [False, True, False]
    assert first["recommendations"] == second["recommendations"] == anew["recommendations"]


def test_a_rating_is_acknowledged_and_counts(client: httpx.Client) -> None:
    answer = client.post("/rate", json={"user_id": "rater", "movie_id": "1", "rating": 4.5})
    body = answer.json()
    assert answer.status_code == 200, body
    assert (body["success"], body["status"], body["stored_in"]) == (True, "accepted", "redis")
    stats = client.get("/recommend/user/rater").json()["user_stats"]
    assert stats == {"total_ratings": 1, "liked_movies": 1}


def test_batch_recommend(client: httpx.Client) -> None:
    histories = {"123": ["1", "50"], "124": [{"movie_id": 2, "rating": 4.5}], "1": None}
    answer = client.post("/batch/recommend", json={"user_histories": histories, "top_k": 3})
    body = answer.json()
    assert answer.status_code == 200, body
    assert set(body) == {"results", "total_users", "success_count", "failed_users"}
    assert (body["total_users"], body["success_count"], body["failed_users"]) == (3, 3, [])
    assert set(body["results"]) == set(histories)
    assert all(len(films) == 3 and set(film) == FILM for films in body["results"].values() for film in films)
    assert not {1, 50} & {film["movie_id"] for film in body["results"]["123"]}
    single = client.post("/recommend", json={"user_id": 123, "history": ["1", "50"], "top_k": 3}).json()[
        "recommendations"
    ]
    assert [film["movie_id"] for film in body["results"]["123"]] == [film["movie_id"] for film in single]


def test_batch_recommend_cache(client: httpx.Client) -> None:
    histories = {f"prepared-{n}": [n + 1, n + 2] for n in range(300)}
    answer = client.post("/batch/recommend/cache", json={"user_histories": histories, "top_k": 4})
    progress = answer.json()
    assert answer.status_code == 202, progress
    seen = []
    deadline_s = time.monotonic() + 60
    while progress["status"] != "done" and time.monotonic() < deadline_s:
        progress = client.get(answer.headers["location"]).json()
        seen.append(progress["done_users"])
    assert (progress["total_users"], progress["success_count"], progress["failed_users"]) == (300, 300, [])
    assert seen == sorted(seen)
    served = client.get("/api/v1/recommendations/prepared-7", params={"limit": 4}).json()
    assert served["cached"] is True
    assert not {8, 9} & {film["movie_id"] for film in served["recommendations"]}


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/recommend/movie", 422),
        ("GET", "/recommend/movie?title=zzzzqqqq", 404),
        ("GET", "/recommend/user/1?k=0", 422),
        ("GET", f"/recommend/user/{'x' * 129}", 422),
        ("GET", "/movies/recommendations?limit=1001", 422),
        ("GET", "/movies/recommendations?use_embeddings=perhaps", 422),
        ("GET", "/api/v1/recommendations/1?use_cache=2", 422),
        ("GET", "/api/v1/recommendations/1?nonsense=1", 422),
        ("POST", "/recommend/user/1", 405),
    ],
)
def test_a_wrong_request_is_told_what_is_wrong(client: httpx.Client, method: str, path: str, status: int) -> None:
    answer = client.request(method, path)
    body = answer.json()
    assert (answer.status_code, set(body), set(body["error"])) == (
        status,
        {"success", "error"},
        {"code", "message", "detail"},
    )
    assert body["success"] is False


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"user_id": "a", "movie_id": 1}, 422),
        ({"user_id": "a", "movie_id": 1, "rating": 6}, 422),
        ({"user_id": "a", "movie_id": 10**9, "rating": 3}, 404),
        ({"user_id": "a" * 129, "movie_id": 1, "rating": 3}, 422),
    ],
)
def test_a_wrong_rating_is_refused(client: httpx.Client, body: dict[str, Any], status: int) -> None:
    assert client.post("/rate", json=body).status_code == status


def test_every_example_of_the_documentation_runs(client: httpx.Client) -> None:
    """What /docs offers to try is answered with the status that it promises."""
    job_id = client.post("/batch/recommend/cache", json={"user_histories": {}}).json()["job_id"]
    documented = client.get("/openapi.json").json()["paths"]
    calls = [(path, method, said) for path, operations in documented.items() for method, said in operations.items()]
    picture = client.get("/poster/1").content
    answered, added_film = {}, 0
    for path, method, operation in sorted(calls, key=lambda call: call[1] == "delete"):  # what was added goes last
        parameters = operation.get("parameters", [])
        values = {p["name"]: p.get("example", job_id) for p in parameters if p["in"] == "path"}
        if path.startswith("/admin/movies/"):
            values["movie_id"] = added_film  # others may have added films before
        query = {p["name"]: p["example"] for p in parameters if p["in"] == "query" and "example" in p}
        bodies = operation.get("requestBody", {}).get("content", {})
        sent = {SENT_AS[kind]: content.get("example", picture) for kind, content in bodies.items()}
        answer = client.request(method, path.format(**values), params=query, **sent)
        if (method, path) == ("post", "/admin/movies"):
            added_film = answer.json()["movie"]["movie_id"]
        answered[f"{method.upper()} {path}"] = str(answer.status_code) == next(iter(operation["responses"]))
    answered.pop("GET /experiments/{name}")  # its example is an experiment that only its operator can start
    assert [name for name, as_promised in answered.items() if not as_promised] == []
    assert len(answered) > 10
