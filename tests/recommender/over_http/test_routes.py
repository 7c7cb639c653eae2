"""The recommender's routes over ASGI: what is answered, and what every wrong request is told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest

from bento.http.application import Application
from bento.http.request_ids import RequestIds
from bento.http.routing import Router
from bento.recommender.over_http.lists.list_routes import RecommendRoutes
from bento.recommender.recommendations import Recommendations
from tests.http.asgi_calls import call
from tests.recommender.world import FINDING_STAGES, World

MAX_BODY_BYTES = 2**20


@pytest.fixture
def app(world: World) -> Application:
    routes = RecommendRoutes(Recommendations(world.pipeline, world.release, RequestIds("id"))).routes()
    return Application(Router(routes), world.metrics, MAX_BODY_BYTES)


@pytest.fixture
async def client(app: Application) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app)  # type: ignore[arg-type]
    async with httpx.AsyncClient(transport=transport, base_url="http://marquee") as client:
        yield client


async def test_post_recommend_answers_films_with_everything_about_the_answer(client: httpx.AsyncClient) -> None:
    response = await client.post("/recommend", json={"user_id": "ann", "history": [202, 203, 999], "top_k": 2})
    assert (response.status_code, response.headers["content-type"]) == (200, "application/json")
    body = response.json()
    timings = body.pop("timings_ms")
    scores = [film.pop("score") for film in body["recommendations"]]
    assert body == {
        "user_id": "ann",
        "recommendations": [
            {"movie_id": 200, "title": "Horror 0", "genres": ["Horror"], "year": 1990, "poster_url": None},
            {"movie_id": 201, "title": "Horror 1", "genres": ["Horror"], "year": 1991, "poster_url": None},
        ],
        "reason": None,
        "release": 1,
        "strategy": "hybrid",
        "scorer": "dot",
        "ignored_movie_ids": 1,
        "catalogue_revision": 0,
        "cached": False,
        "degraded": [],
        "request_id": "id-1",
        "recommendation_id": "rec-id-1",
        "experiments": {},
    }
    assert scores[0] > scores[1]
    assert set(timings) == {"state", *FINDING_STAGES, "blend", "answer", "total"}


async def test_a_second_answer_comes_from_the_cache_under_a_new_id(client: httpx.AsyncClient, world: World) -> None:
    first = (await client.post("/recommend", json={"user_id": 7})).json()
    await world.pipeline.close()
    second = (await client.post("/recommend", json={"user_id": 7})).json()
    assert (first["cached"], second["cached"]) == (False, True)
    assert first["recommendations"] == second["recommendations"]
    assert second["recommendation_id"] == "rec-id-2"
    assert set(second["timings_ms"]) == {"state", "total"}
    assert second["user_id"] == 7


async def test_get_recommend_answers_the_same(client: httpx.AsyncClient) -> None:
    by_get = (await client.get("/recommend", params={"user_id": "ann", "limit": 3})).json()
    by_post = (await client.post("/recommend", json={"user_id": "ann", "top_k": 3})).json()
    assert by_get["recommendations"] == by_post["recommendations"]
    assert len(by_get["recommendations"]) == 3


async def test_an_empty_object_asks_for_what_is_popular(client: httpx.AsyncClient) -> None:
    body = (await client.post("/recommend", json={})).json()
    assert (body["user_id"], body["strategy"], len(body["recommendations"])) == (None, "cold_start", 10)


async def test_a_callers_request_id_comes_back(client: httpx.AsyncClient) -> None:
    response = await client.post("/recommend", json={}, headers={"X-Request-Id": "mine-42"})
    assert response.json()["request_id"] == "mine-42"


WRONG = [
    (b"", 400, "malformed_request", "the body is not valid JSON: it is empty"),
    (b"{", 400, "malformed_request", "the body is not valid JSON"),
    (b"\xff\xfe", 400, "malformed_request", "the body is not valid JSON"),
    (b"[]", 422, "invalid_request", "request: expected object, got array"),
    (b'{"top_k": 0}', 422, "invalid_request", "top_k: expected int >= 1, got 0"),
    (b'{"top_k": 1000000000}', 422, "invalid_request", "top_k: expected int <= 1000, got 1000000000"),
    (b'{"top_k": "ten"}', 422, "invalid_request", 'top_k: expected int, got "ten"'),
    (b'{"top_k": 1' + b"0" * 100 + b"}", 422, "invalid_request", "top_k: "),
    (b'{"topk": 5}', 422, "invalid_request", "unknown field topk, did you mean top_k?"),
    (b'{"zzz": 5}', 422, "invalid_request", "unknown field zzz, expected fields among user_id, history, top_k, "),
    (b'{"scorer": "best"}', 422, "invalid_request", 'scorer: expected one of dot, mlp, got "best"'),
    (b'{"top_k": "5"}', 422, "invalid_request", 'top_k: expected int, got "5"'),
    (b'{"weights": {"ease": 1, "text": 1000}}', 422, "invalid_request", 'float <= 100.0, got {"ease":1,"text":1000}'),
    (b'{"user_id": [1]}', 422, "invalid_request", "user_id: expected int | str"),
    (b'{"user_id": "' + b"x" * 129 + b'"}', 422, "invalid_request", "user_id: expected str of length <= 128"),
    (b'{"user_id": ""}', 422, "invalid_request", "user_id: expected str of length >= 1"),
    (b'{"history": "1,2"}', 422, "invalid_request", "history: expected array"),
    (
        b'{"history": [{"movie_id": 1, "rating": 6}]}',
        422,
        "invalid_request",
        "history[0].rating: expected float <= 5.0, got 6",
    ),
    (b'{"history": [{"rating": 5}]}', 422, "invalid_request", "missing required field movie_id"),
    (b'{"history": [1.5]}', 422, "invalid_request", "history[0]: expected int | str | object"),
    (b'{"weights": {"tarot": 1}}', 422, "invalid_request", "weights: expected sources among sequence"),
    (b'{"preset": "loud"}', 422, "unknown_preset", 'preset: expected one of popular, got "loud"'),
    (b'{"preset": "popular", "weights": {}}', 422, "invalid_request", "either weights or a preset"),
]


@pytest.mark.parametrize(("body", "status", "code", "message"), WRONG)
async def test_a_wrong_body_is_told_what_is_wrong(
    client: httpx.AsyncClient, body: bytes, status: int, code: str, message: str
) -> None:
    response = await client.post("/recommend", content=body)
    answer = response.json()
    assert (response.status_code, answer["success"], answer["error"]["code"]) == (status, False, code)
    assert message in answer["error"]["message"]
    assert set(answer["error"]) == {"code", "message", "detail"}


async def test_an_error_never_repeats_a_long_value(client: httpx.AsyncClient) -> None:
    response = await client.post("/recommend", json={"preset": "x" * 1_000})
    assert len(response.content) < 500


async def test_a_history_beyond_the_limit_is_refused_with_the_limit(client: httpx.AsyncClient) -> None:
    response = await client.post("/recommend", json={"history": [1] * 5_001})
    assert response.status_code == 422
    assert response.json()["error"]["message"] == "history: expected array of length <= 5000"


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("limit=0", 'limit: expected int >= 1, got "0"'),
        ("limit=1001", 'limit: expected int <= 1000, got "1001"'),
        ("limit=ten", 'limit: expected int, got "ten"'),
        ("top_k=5", "unknown field top_k"),
        ("user_id=", "user_id: expected"),
    ],
)
async def test_a_wrong_query_is_told_what_is_wrong(client: httpx.AsyncClient, query: str, message: str) -> None:
    response = await client.get(f"/recommend?{query}")
    assert response.status_code == 422
    assert message in response.json()["error"]["message"]


async def test_a_request_id_with_control_characters_is_refused(app: Application) -> None:
    sent = await call(app, "POST", "/recommend", [b"{}"], [(b"x-request-id", b"a\r\nSet-Cookie: x")])
    assert sent.status == 422


async def test_requests_are_counted_by_route_and_status(client: httpx.AsyncClient, world: World) -> None:
    await client.post("/recommend", json={})
    await client.post("/recommend", content=b"{")
    await client.get("/nowhere")
    assert world.metric("recsys_requests_total", route="POST /recommend", status="200") == 1
    assert world.metric("recsys_requests_total", route="POST /recommend", status="400") == 1
    assert world.metric("recsys_requests_total", route="unknown", status="404") == 1
    assert world.metric("recsys_request_seconds_count", route="POST /recommend") == 2


async def test_many_requests_at_once_keep_their_answers(client: httpx.AsyncClient) -> None:
    histories = [[202], [302], [402], [102]] * 25
    answers = await asyncio.gather(*(client.post("/recommend", json={"history": h, "top_k": 1}) for h in histories))
    assert [answer.json()["recommendations"][0]["movie_id"] for answer in answers] == [200, 300, 400, 100] * 25
