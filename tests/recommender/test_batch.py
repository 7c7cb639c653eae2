"""Many people at once, on the genre world: the same answers as one by one, and prepared answers for a day."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from bento.http.application import Application
from bento.http.request_ids import RequestIds
from bento.http.routing import Router
from bento.recommender import batch as batch_module
from bento.recommender import precompute as precompute_module
from bento.recommender.batch import Batch
from bento.recommender.over_http.lists.batch_routes import PEOPLE_LIMIT, BatchRoutes
from bento.recommender.over_http.lists.list_routes import RecommendRoutes
from bento.recommender.precompute import ANSWER_TTL_S, Precompute
from bento.recommender.recommendations import Recommendations
from bento.stores.connection.circuit_breaker import CircuitBreaker
from bento.stores.connection.embedded_redis import EmbeddedRedis
from bento.stores.connection.redis_link import RedisLink, connect
from bento.stores.errors import StoreUnavailable
from bento.stores.person import WatchEvent
from bento.stores.precompute_jobs import PrecomputeJobs
from tests.recommender.genre_world import films_of, movie_id
from tests.recommender.world import World

pytestmark = pytest.mark.redis

HORROR, WAR = films_of(1), films_of(3)


@pytest.fixture
async def jobs(tmp_path: Path) -> AsyncIterator[PrecomputeJobs]:
    server = EmbeddedRedis(tmp_path)
    await server.open()
    link = RedisLink(connect(server.url, 5), 5, CircuitBreaker(1))
    yield PrecomputeJobs(link, "test")
    await link.close()
    await server.close()


@pytest.fixture
def precompute(world: World, jobs: PrecomputeJobs) -> Precompute:
    return Precompute(Batch(world.pipeline, world.release), jobs, "worker", now_s=lambda: 50.0)


@pytest.fixture
async def client(world: World, jobs: PrecomputeJobs, precompute: Precompute) -> AsyncIterator[httpx.AsyncClient]:
    ids, batch = RequestIds("id"), Batch(world.pipeline, world.release)
    routes = [
        *BatchRoutes(batch, jobs, precompute, ids, world.release, 10**6, now_s=lambda: 40.0).routes(),
        *RecommendRoutes(Recommendations(world.pipeline, world.release, ids)).routes(),
    ]
    app = Application(Router(routes), world.metrics, 1_024)
    transport = httpx.ASGITransport(app)  # type: ignore[arg-type]
    async with httpx.AsyncClient(transport=transport, base_url="http://marquee") as client:
        yield client


def movie_ids(films: list[dict[str, Any]]) -> list[int]:
    return [film["movie_id"] for film in films]


async def test_everybody_gets_their_own_films(client: httpx.AsyncClient) -> None:
    histories = {"a": [str(HORROR[2])], "b": [{"movie_id": WAR[0], "rating": 5}], "ann": None, "new": None}
    response = await client.post("/batch/recommend", json={"user_histories": histories, "top_k": 2})
    body = response.json()
    assert (body["total_users"], body["success_count"], body["failed_users"]) == (4, 4, [])
    assert list(body["results"]) == ["a", "b", "ann", "new"]
    assert movie_ids(body["results"]["a"]) == HORROR[:2]
    assert movie_ids(body["results"]["b"]) == WAR[1:3]
    assert movie_ids(body["results"]["ann"]) == [100, 101]
    assert response.headers["x-marquee-degraded"] == ""


async def test_one_wrong_entry_fails_alone_and_says_why(client: httpx.AsyncClient) -> None:
    histories = {"a": [HORROR[0]], "b": "all of them", "c" * 129: None, "": [], "d": [[1]]}
    response = await client.post("/batch/recommend", json={"user_histories": histories})
    body = response.json()
    assert (response.status_code, list(body["results"]), body["success_count"]) == (200, ["a"], 1)
    assert set(body["failed_users"]) == {"b", "c" * 129, "", "d"}
    assert response.headers["x-marquee-first-failure"].startswith("b: history: expected array")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "request"),
        ({"user_histories": []}, "user_histories"),
        ({"user_histories": {}, "top_k": 0}, "top_k"),
        ({"user_histories": {}, "top_k": 101}, "top_k"),
    ],
)
@pytest.mark.parametrize("path", ["/batch/recommend", "/batch/recommend/cache"])
async def test_a_wrong_batch_is_refused(client: httpx.AsyncClient, path: str, body: dict[str, Any], field: str) -> None:
    response = await client.post(path, json=body)
    assert (response.status_code, response.json()["error"]["detail"]["field"]) == (422, field)


async def test_a_batch_with_too_many_people_is_refused(client: httpx.AsyncClient) -> None:
    too_many = dict.fromkeys(map(str, range(PEOPLE_LIMIT + 1)))
    response = await client.post("/batch/recommend", json={"user_histories": too_many})
    assert (response.status_code, response.json()["error"]["detail"]["field"]) == (422, "user_histories")


async def test_no_more_people_are_under_way_than_the_models_take(world: World) -> None:
    under_way, most = 0, 0
    plain = world.pipeline.recommend

    async def counted(*args: Any) -> Any:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        try:
            return await plain(*args)
        finally:
            under_way -= 1

    world.pipeline.recommend = counted  # type: ignore[method-assign]
    batch = Batch(world.pipeline, world.release)
    null = msgspec.Raw(b"null")
    both = await asyncio.gather(*(batch.recommend({f"{side}{n}": null for n in range(100)}, 1) for side in "ab"))
    assert [len(answer.results) for answer in both] == [100, 100]
    assert most == batch_module.AT_A_TIME


async def finished(client: httpx.AsyncClient, progress_url: str) -> dict[str, Any]:
    while True:
        progress: dict[str, Any] = (await client.get(progress_url)).json()
        if progress["status"] == "done":
            return progress
        await asyncio.sleep(0)


async def test_a_prepared_answer_is_what_a_person_is_served(client: httpx.AsyncClient, precompute: Precompute) -> None:
    people = {"7": [WAR[0]], "x": 1}
    response = await client.post("/batch/recommend/cache", json={"user_histories": people, "top_k": 3})
    put = response.json()
    assert (response.status_code, response.headers["location"]) == (202, put["progress_url"])
    assert (put["status"], put["total_users"], put["done_users"], put["ttl_s"]) == ("waiting", 2, 0, ANSWER_TTL_S)
    precompute.start()
    done = await finished(client, put["progress_url"])
    await precompute.close()
    assert (done["done_users"], done["success_count"], done["failed_users"]) == (2, 1, ["x"])
    assert (done["created_at"], done["finished_at"]) == (40.0, 50.0)
    assert done["failures"][0]["message"].startswith("history: expected array")
    for user_id in (7, "7"):  # the same person
        answer = (await client.post("/recommend", json={"user_id": user_id, "top_k": 3})).json()
        assert (answer["cached"], movie_ids(answer["recommendations"])) == (True, WAR[1:4])


async def test_nothing_is_prepared_for_who_was_forgotten_meanwhile(
    client: httpx.AsyncClient, world: World, precompute: Precompute
) -> None:
    people = {"gone": [WAR[0]], "here": [WAR[0]]}
    put = (await client.post("/batch/recommend/cache", json={"user_histories": people, "top_k": 3})).json()
    await world.features.forget("gone")
    precompute.start()
    await finished(client, put["progress_url"])
    await precompute.close()
    asked = [(await client.post("/recommend", json={"user_id": user_id, "top_k": 3})).json() for user_id in people]
    assert [(answer["cached"], answer["strategy"]) for answer in asked] == [(False, "cold_start"), (True, "hybrid")]


async def test_a_prepared_answer_lasts_a_day_or_until_something_new(make_world: Callable[..., World]) -> None:
    now_s = [1_000.0]
    world = make_world(now_s=lambda: now_s[0])
    batch = Batch(world.pipeline, world.release)
    people = {"new": msgspec.Raw(str([WAR[0]]).encode())}
    assert await batch.precompute(people, 10, ANSWER_TTL_S) == {}
    now_s[0] += ANSWER_TTL_S - 1
    assert (await world.ask('{"user_id": "new"}')).cached
    now_s[0] += 1
    assert not (await world.ask('{"user_id": "new"}')).cached
    assert await batch.precompute(people, 10, ANSWER_TTL_S) == {}
    await world.features.append("new", [WatchEvent(movie_id(1, 0), 5.0, 10)])
    assert not (await world.ask('{"user_id": "new"}')).cached


async def test_an_answer_that_lacks_a_source_is_not_kept_for_a_day(world: World) -> None:
    world.models.failing.add("ease")
    failures = await Batch(world.pipeline, world.release).precompute({"ann": msgspec.Raw(b"null")}, 5, 60)
    assert failures == {"ann": "answered without ease 3 times"}
    world.models.failing.clear()
    assert not (await world.ask('{"user_id": "ann", "top_k": 5}')).cached


async def test_a_job_is_resumed_behind_its_last_finished_chunk(
    client: httpx.AsyncClient, world: World, jobs: PrecomputeJobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first worker is stopped in its second chunk; the second one does what is left, and no more."""
    monkeypatch.setattr(precompute_module, "CHUNK_PEOPLE", 2)
    people = {f"p{n}": [WAR[0]] for n in range(6)}
    put = (await client.post("/batch/recommend/cache", json={"user_histories": people})).json()

    batch, asked, stuck = Batch(world.pipeline, world.release), [], asyncio.Event()
    plain = batch.precompute

    async def until_the_second_chunk(histories: dict[str, Any], *args: Any) -> dict[str, str]:
        asked.append(list(histories))
        if len(asked) == 2:
            stuck.set()
            await asyncio.Event().wait()
        return await plain(histories, *args)

    monkeypatch.setattr(batch, "precompute", until_the_second_chunk)
    first = Precompute(batch, jobs, "first")
    first.start()
    await stuck.wait()
    running = (await client.get(put["progress_url"])).json()
    assert (running["status"], running["done_users"]) == ("running", 2)
    await first.close()
    assert (await client.get(put["progress_url"])).json()["status"] == "waiting"
    second = Precompute(batch, jobs, "second")
    second.start()
    assert (await finished(client, put["progress_url"]))["success_count"] == 6
    await second.close()
    assert asked == [["p0", "p1"], ["p2", "p3"], ["p2", "p3"], ["p4", "p5"]]


async def test_without_redis_no_job_is_promised(
    client: httpx.AsyncClient, jobs: PrecomputeJobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def dead(*_: object) -> None:
        raise StoreUnavailable("it was shot")

    monkeypatch.setattr(jobs, "put", dead)
    monkeypatch.setattr(jobs, "read", dead)
    response = await client.post("/batch/recommend/cache", json={"user_histories": {"a": None}})
    assert (response.status_code, response.json()["error"]["code"]) == (503, "not_stored")
    assert (await client.get("/batch/recommend/cache/1")).status_code == 503


async def test_an_unknown_job_is_not_found(client: httpx.AsyncClient) -> None:
    response = await client.get("/batch/recommend/cache/never")
    assert (response.status_code, response.json()["error"]["code"]) == (404, "unknown_job")
