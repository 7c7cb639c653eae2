"""Being forgotten: nothing of a person is left in the feature store, the response cache, the log or the spool."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from bento.recommender.asgi import HotRoutes, Router
from bento.recommender.event_routes import EventRoutes
from bento.recommender.events import Feedback
from bento.recommender.forget_routes import ForgetRoutes
from bento.recommender.recommendations import Recommendations
from bento.recommender.request_ids import RequestIds
from bento.recommender.routes import RecommendRoutes
from bento.stores.errors import StoreUnavailable
from bento.stores.memory_stores import MemoryEventLog
from bento.stores.spool import Spool

from .conftest import World
from .genre_world import N_FILMS


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
    app = HotRoutes(Router(routes), world.pipeline._metrics, 10_000)
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
