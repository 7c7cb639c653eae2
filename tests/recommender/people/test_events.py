"""Events: acknowledged only when something holds them, counted once, seen by the next request."""

from __future__ import annotations

import asyncio
import errno
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from bento.http.application import Application
from bento.http.request_ids import RequestIds
from bento.http.routing import Router
from bento.recommender.over_http.lists.list_routes import RecommendRoutes
from bento.recommender.over_http.people.event_routes import EventRoutes
from bento.recommender.people import events
from bento.recommender.people.events import Event, Feedback
from bento.recommender.recommendations import Recommendations
from bento.stores.errors import StoreUnavailable
from bento.stores.spool import Spool
from tests.recommender.world import World
from tests.stores.memory_stores import MemoryEventLog

NOW_S = 1_000_000.0


class Switch:
    """A store that can be away."""

    def __init__(self, store: object) -> None:
        self.store = store
        self.away = False

    def __getattr__(self, name: str) -> Callable[..., Any]:
        async def call(*args: object, **options: object) -> object:
            if self.away:
                raise StoreUnavailable("gone")
            return await getattr(self.store, name)(*args, **options)

        return call


@pytest.fixture
def event_log() -> MemoryEventLog:
    return MemoryEventLog()


@pytest.fixture
def redis(world: World) -> Switch:
    return Switch(world.features)


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    return Spool(tmp_path / "events.jsonl")


@pytest.fixture
async def feedback(redis: Switch, event_log: MemoryEventLog, spool: Spool) -> AsyncIterator[Feedback]:
    feedback = Feedback(redis, event_log, spool, now_s=lambda: NOW_S)  # type: ignore[arg-type]
    yield feedback
    await feedback.close()


@pytest.fixture
async def client(world: World, feedback: Feedback) -> AsyncIterator[httpx.AsyncClient]:
    ids = RequestIds("id")
    routes = [
        *EventRoutes(feedback, world.release, ids, lambda: NOW_S).routes(),
        *RecommendRoutes(Recommendations(world.pipeline, world.release, ids)).routes(),
    ]
    app = Application(Router(routes), world.metrics, 10_000)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://m") as client:  # type: ignore[arg-type]
        yield client


def event(**changes: object) -> dict[str, object]:
    return {"user_id": "new", "item_id": 302, "event_type": "view", **changes}


async def test_an_event_is_acknowledged_and_the_next_request_reflects_it(client: httpx.AsyncClient) -> None:
    before = (await client.get("/recommend?user_id=new&limit=3")).json()
    response = await client.post("/events", json=event(event_type="rate", value=5))
    assert response.status_code == 202
    assert response.json() == {
        "success": True,
        "event_id": "id-2",
        "status": "accepted",
        "stored_in": "redis",
        "late": False,
        "future": False,
    }
    after = (await client.get("/recommend?user_id=new&limit=3")).json()
    assert (before["strategy"], after["strategy"]) == ("cold_start", "hybrid")
    assert [film["movie_id"] for film in after["recommendations"]] == [300, 301, 303]


@pytest.mark.parametrize(
    ("changes", "rating"),
    [
        ({"event_type": "view"}, 0),
        ({"event_type": "click"}, -1),
        ({"event_type": "purchase"}, 0),
        ({"event_type": "like"}, 5),
        ({"event_type": "dislike"}, 0.5),
        ({"event_type": "rate", "value": 3.5}, 3.5),
    ],
)
async def test_event_types_become_ratings(
    client: httpx.AsyncClient, world: World, changes: dict[str, object], rating: float
) -> None:
    await client.post("/events", json=event(**changes))
    state = await world.features.read("new")
    assert state.events.tolist() == [(302, rating, int(NOW_S))]


async def test_a_clicked_film_moves_the_list_and_may_still_be_recommended(client: httpx.AsyncClient) -> None:
    await client.post("/events", json=event(event_type="click"))
    answer = (await client.get("/recommend?user_id=new&limit=3")).json()
    assert answer["strategy"] == "hybrid"
    assert [film["movie_id"] for film in answer["recommendations"]] == [300, 301, 302]


async def test_a_seen_film_stays_seen_when_it_is_clicked(client: httpx.AsyncClient) -> None:
    await client.post("/events", json=event(user_id="ann", item_id=103, event_type="click"))
    answer = (await client.get("/recommend?user_id=ann&limit=1000")).json()
    assert not {103, 104} & {film["movie_id"] for film in answer["recommendations"]}


async def test_a_disliked_film_is_gone_at_once(client: httpx.AsyncClient) -> None:
    await client.post("/events", json=event(event_type="dislike"))
    answer = (await client.get("/recommend?user_id=new&limit=1000")).json()
    assert 302 not in {film["movie_id"] for film in answer["recommendations"]}


async def test_the_log_keeps_what_was_acknowledged(client: httpx.AsyncClient, event_log: MemoryEventLog) -> None:
    await client.post("/events", json=event(item_id="302", timestamp=999_000.5, recommendation_id="rec-1", user_id=5))
    (record,) = await event_log.read(10)
    assert json.loads(record) == {
        "event_id": "id-1",
        "user_id": "5",
        "movie_id": 302,
        "event_type": "view",
        "rating": 0.0,
        "timestamp_s": 999_000,
        "received_at_s": NOW_S,
        "recommendation_id": "rec-1",
    }


async def test_the_same_idempotency_key_counts_once(client: httpx.AsyncClient, event_log: MemoryEventLog) -> None:
    headers = {"Idempotency-Key": "k1"}
    first = await client.post("/events", json=event(), headers=headers)
    again = await client.post("/events", json=event(item_id=303), headers=headers)
    assert (first.json()["status"], again.json()["status"]) == ("accepted", "duplicate")
    assert again.status_code == 202
    assert len(await event_log.read(10)) == 1


async def test_a_late_event_is_put_in_its_place_and_said_to_be_late(client: httpx.AsyncClient, world: World) -> None:
    await client.post("/events", json=event(timestamp=900_000))
    answer = await client.post("/events", json=event(item_id=200, timestamp=800_000))
    assert answer.json()["late"] is True
    assert (await world.features.read("new")).events["movie_key"].tolist() == [200, 302]


async def test_a_future_timestamp_counts_as_now_and_is_said(client: httpx.AsyncClient, world: World) -> None:
    answer = await client.post("/events", json=event(timestamp=NOW_S + 3_600))
    assert answer.json()["future"] is True
    assert (await world.features.read("new")).events["timestamp_s"].tolist() == [int(NOW_S)]


async def test_a_clock_a_little_ahead_is_let_pass(client: httpx.AsyncClient, world: World) -> None:
    answer = await client.post("/events", json=event(timestamp=NOW_S + 30))
    assert answer.json()["future"] is False
    assert (await world.features.read("new")).events["timestamp_s"].tolist() == [int(NOW_S) + 30]


@pytest.mark.parametrize(
    ("changes", "status", "message"),
    [
        ({"item_id": 999}, 404, "movie_id 999 is not in the catalogue"),
        ({"item_id": "x"}, 404, "movie_id x is not in the catalogue"),
        ({"event_type": "stare"}, 422, "event_type: expected one of view, click, rate, like, dislike, purchase, got"),
        ({"event_type": "rate"}, 422, "value: event_type rate needs the stars"),
        ({"event_type": "rate", "value": 11}, 422, "value: expected float <= 5.0, got 11"),
        ({"timestamp": -1}, 422, "timestamp: expected float >= 0.0"),
        ({"timestamp": 1e12}, 422, "timestamp: expected float <= 4102444800.0 (Unix seconds), got "),
        ({"user_id": None}, 422, "user_id: expected int | str, got null"),
    ],
)
async def test_a_wrong_event_is_refused(
    client: httpx.AsyncClient, world: World, changes: dict[str, object], status: int, message: str
) -> None:
    response = await client.post("/events", json=event(**changes))
    assert response.status_code == status
    assert message in response.json()["error"]["message"]
    assert (await world.features.read("new")).version == 0


# Redis away


async def test_without_redis_the_spool_holds_the_event(client: httpx.AsyncClient, redis: Switch, spool: Spool) -> None:
    redis.away = True
    response = await client.post("/events", json=event())
    assert (response.status_code, response.json()["stored_in"]) == (202, "spool")
    assert not spool.is_empty


async def test_the_spool_is_replayed_in_order_once_redis_is_back(
    client: httpx.AsyncClient,
    redis: Switch,
    feedback: Feedback,
    world: World,
    event_log: MemoryEventLog,
    spool: Spool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(events, "REPLAY_INTERVAL_S", 0.01)
    redis.away = True
    for item_id in (300, 301, 302):
        await client.post("/events", json=event(item_id=item_id))
    redis.away = False
    queued = await client.post("/events", json=event(item_id=303))
    assert queued.json()["stored_in"] == "spool"  # behind the others
    feedback.start()
    async with asyncio.timeout(10):
        while len(await event_log.read(10)) < 4:
            await asyncio.sleep(0.005)
    assert [json.loads(record)["movie_id"] for record in await event_log.read(10)] == [300, 301, 302, 303]
    assert (await world.features.read("new")).events["movie_key"].tolist() == [300, 301, 302, 303]
    async with asyncio.timeout(10):
        while not spool.is_empty:
            await asyncio.sleep(0.005)
    assert (await client.post("/events", json=event(item_id=304))).json()["stored_in"] == "redis"


async def test_an_event_that_is_sent_again_while_it_waits_in_the_spool_counts_once(
    client: httpx.AsyncClient, redis: Switch, feedback: Feedback, spool: Spool, event_log: MemoryEventLog
) -> None:
    redis.away = True
    sent = [client.post("/events", json=event(), headers={"idempotency-key": "k"}) for _ in range(5)]
    together = [answer.json()["status"] for answer in await asyncio.gather(*sent)]
    assert sorted(together) == ["accepted", *["duplicate"] * 4]
    redis.away = False  # back, and not replayed yet
    again = (await client.post("/events", json=event(), headers={"idempotency-key": "k"})).json()
    assert (again["status"], again["stored_in"]) == ("duplicate", "spool")
    await feedback.replay()
    assert spool.is_empty
    assert len(await event_log.read(10)) == 1
    assert (await client.post("/events", json=event(), headers={"idempotency-key": "k"})).json()[
        "status"
    ] == "duplicate"


RECORD = (
    b'{"event_id": "e1", "user_id": "new", "movie_id": 302, "event_type": "view",'
    b' "rating": 0, "timestamp_s": 5, "received_at_s": 5}'
)


async def test_a_replay_after_a_crash_counts_nothing_twice(feedback: Feedback, spool: Spool, world: World) -> None:
    for _ in range(2):
        await spool.add(RECORD)
        await feedback.replay()
    state = await world.features.read("new")
    assert state.events.tolist() == [(302, 0.0, 5)]


class Counter:
    """A follower that remembers what it counted."""

    def __init__(self) -> None:
        self.counted: list[str] = []

    async def follow(self, event: Event) -> None:
        self.counted.append(event.event_id)


async def test_a_replay_after_a_crash_is_followed_once(redis: Switch, event_log: MemoryEventLog, spool: Spool) -> None:
    followers = [Counter(), Counter()]
    feedback = Feedback(redis, event_log, spool, followers=followers)  # type: ignore[arg-type]
    for record in (RECORD, RECORD, RECORD.replace(b"e1", b"e2")):
        await spool.add(record)
        await feedback.replay()
    assert [follower.counted for follower in followers] == [["e1", "e2"]] * 2


async def test_an_event_that_redis_takes_is_followed_once(
    redis: Switch, event_log: MemoryEventLog, spool: Spool
) -> None:
    follower = Counter()
    feedback = Feedback(redis, event_log, spool, now_s=lambda: NOW_S, followers=[follower])  # type: ignore[arg-type]
    event = Event("e1", "new", 302, "view", 0.0, 5, 5.0)
    statuses = [(await feedback.accept(event)).status for _ in range(2)]
    assert statuses == ["accepted", "duplicate"]
    assert follower.counted == ["e1"]


async def test_a_record_that_cannot_be_read_does_not_hold_up_the_others(
    feedback: Feedback, spool: Spool, world: World, caplog: pytest.LogCaptureFixture
) -> None:
    await spool.add(b"{broken")
    await spool.add(RECORD)
    await feedback.replay()
    assert spool.is_empty
    assert "cannot be read and is skipped" in caplog.text
    assert len((await world.features.read("new")).events) == 1


async def test_that_events_wait_in_the_spool_is_said_once_for_each_reason(
    redis: Switch, feedback: Feedback, spool: Spool, caplog: pytest.LogCaptureFixture
) -> None:
    await spool.add(RECORD)
    redis.away = True
    for _ in range(3):
        await feedback.replay()
    assert [record.getMessage() for record in caplog.records] == [
        "events wait in the spool: Redis is not available: gone"
    ]
    redis.away = False
    await feedback.replay()
    assert spool.is_empty


async def test_how_much_waits_in_the_spool_is_told(redis: Switch, event_log: MemoryEventLog, spool: Spool) -> None:
    sizes: list[int] = []
    feedback = Feedback(redis, event_log, spool, on_spool_bytes=sizes.append)  # type: ignore[arg-type]
    await spool.add(RECORD)
    redis.away = True
    await feedback.replay()
    redis.away = False
    await feedback.replay()
    assert sizes == [len(RECORD) + 1, 0]


async def test_the_spool_is_replayed_after_a_disk_that_was_full(
    client: httpx.AsyncClient, redis: Switch, feedback: Feedback, spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "REPLAY_INTERVAL_S", 0.01)
    redis.away = True
    await client.post("/events", json=event())
    redis.away = False
    replay, refused = spool.replay, asyncio.Event()

    async def refuse(apply: object) -> int:
        refused.set()
        raise OSError(errno.ENOSPC, "no space left on device")

    monkeypatch.setattr(spool, "replay", refuse)
    feedback.start()
    async with asyncio.timeout(10):
        await refused.wait()
        monkeypatch.setattr(spool, "replay", replay)
        while not spool.is_empty:
            await asyncio.sleep(0.005)


async def test_when_nothing_holds_an_event_it_is_not_acknowledged(
    client: httpx.AsyncClient, redis: Switch, tmp_path: Path
) -> None:
    redis.away = True
    (tmp_path / "events.jsonl").mkdir()
    response = await client.post("/events", json=event())
    assert response.status_code == 503
    assert response.json()["error"]["code"] == "not_stored"
