"""Being forgotten: nothing of a person is left in the feature store, the response cache, the log or the spool."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest

from bento.http.application import Application
from bento.http.request_ids import RequestIds
from bento.http.routing import Router
from bento.recommender.over_http.lists.list_routes import RecommendRoutes
from bento.recommender.over_http.people.event_routes import EventRoutes
from bento.recommender.over_http.people.forget_routes import ForgetRoutes
from bento.recommender.people.events import Feedback
from bento.recommender.people.impressions import Impressions
from bento.recommender.questions import question_of
from bento.recommender.recommendations import Recommendations
from bento.recommender.schemas import RecommendRequest
from bento.stores.errors import StoreUnavailable
from bento.stores.impressions import Impression
from bento.stores.spool import Spool
from tests.recommender.genre_world import N_FILMS
from tests.recommender.world import World
from tests.stores.memory_stores import MemoryEventLog, MemoryImpressionLog


@pytest.fixture
def event_log() -> MemoryEventLog:
    return MemoryEventLog()


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    return Spool(tmp_path / "events.jsonl")


@pytest.fixture
async def client(world: World, event_log: MemoryEventLog, spool: Spool) -> AsyncIterator[httpx.AsyncClient]:
    ids = RequestIds("id")
    routes = [
        *ForgetRoutes(world.features, event_log, spool).routes(),
        *EventRoutes(Feedback(world.features, event_log, spool), world.release, ids).routes(),
        *RecommendRoutes(Recommendations(world.pipeline, world.release, ids)).routes(),
    ]
    app = Application(Router(routes), world.metrics, 10_000)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://m") as client:  # type: ignore[arg-type]
        yield client


async def rate(client: httpx.AsyncClient, user_id: str, item_id: int) -> None:
    event = {"user_id": user_id, "item_id": item_id, "event_type": "rate", "value": 5}
    assert (await client.post("/events", json=event)).status_code == 202


async def test_a_forgotten_person_is_a_stranger_and_others_are_not(
    client: httpx.AsyncClient, world: World, event_log: MemoryEventLog
) -> None:
    await rate(client, "ann", 302)
    await rate(client, "bob", 302)
    await client.get("/recommend?user_id=ann")
    await world.pipeline.close()
    response = await client.delete("/users/ann")
    assert response.json() == {"success": True, "user_id": "ann", "events_deleted": 1}
    answer = (await client.get("/recommend?user_id=ann&limit=1000")).json()
    assert (answer["strategy"], answer["cached"], len(answer["recommendations"])) == ("cold_start", False, N_FILMS)
    assert b"ann" not in b"".join(await event_log.read(10))
    assert len(await event_log.read(10)) == 1
    assert (await client.get("/recommend?user_id=bob")).json()["strategy"] == "hybrid"


async def test_events_that_wait_in_the_spool_are_forgotten_too(client: httpx.AsyncClient, spool: Spool) -> None:
    await spool.add(b'{"user_id": "ann"}')
    await spool.add(b'{"user_id": "bob"}')
    await spool.add(b"{broken")
    assert (await client.delete("/users/ann")).json()["events_deleted"] == 1
    left: list[bytes] = []

    async def take(record: bytes) -> None:
        left.append(record)

    await spool.replay(take)
    assert left == [b'{"user_id": "bob"}', b"{broken"]


@pytest.mark.parametrize("user_id", ["a/b", "/", "a%2Fb", "50% off/ä", "../../x"])
async def test_somebody_whose_id_holds_a_slash_can_be_forgotten(client: httpx.AsyncClient, user_id: str) -> None:
    await rate(client, user_id, 302)
    answer = (await client.delete(f"/users/{quote(user_id, safe='')}")).json()
    assert (answer["user_id"], answer["events_deleted"]) == (user_id, 1)


async def test_lists_that_are_still_to_be_written_are_forgotten_too(world: World) -> None:
    """Served, answered, and then forgotten while the impressions of everybody wait their turn."""
    store, release = MemoryImpressionLog(), asyncio.Event()
    show = store.show

    async def slow_show(impressions: list[Impression]) -> None:
        await release.wait()
        await show(impressions)

    store.show = slow_show  # type: ignore[method-assign]
    impressions = Impressions(store, {}, world.metrics)
    body = (await world.pipeline.recommend(question_of(RecommendRequest("ann"), world.release))).body
    impressions.note("ann", "rec-1", body, {})
    await asyncio.sleep(0)  # the first is being written
    for user_id in ("ann", "bob"):
        impressions.note(user_id, f"rec-of-{user_id}", body, {})
    forgetting = asyncio.create_task(impressions.forget("ann"))
    await asyncio.sleep(0)
    release.set()
    await forgetting
    await impressions.close()
    clicked = [await store.click(user, f"rec-of-{user}", 100, {}) for user in ("ann", "bob")]
    assert (clicked, await store.click("ann", "rec-1", 100, {})) == ([False, True], False)


async def test_a_stranger_can_be_forgotten(client: httpx.AsyncClient) -> None:
    assert (await client.delete("/users/nobody")).json()["events_deleted"] == 0


async def test_without_redis_nobody_is_said_to_be_forgotten(
    client: httpx.AsyncClient, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def unavailable(user_id: str) -> None:
        raise StoreUnavailable("gone")

    monkeypatch.setattr(world.features, "forget", unavailable)
    response = await client.delete("/users/ann")
    assert (response.status_code, response.json()["error"]["code"]) == (503, "not_stored")
    assert "try again" in response.json()["error"]["message"]


async def test_an_id_that_is_too_long_is_refused(client: httpx.AsyncClient) -> None:
    assert (await client.delete("/users/" + "x" * 129)).status_code == 422
