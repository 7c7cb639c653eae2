"""Redis is killed, hung and started again in the middle of everything: what was acknowledged is there afterwards."""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator

import httpx
import pytest

from bento.stores.connection.embedded_redis import EmbeddedRedis
from tests.conftest import SampleRelease, Service, start_service

pytestmark = [pytest.mark.chaos, pytest.mark.integration, pytest.mark.redis, pytest.mark.timeout(300)]

PEOPLE, FILMS_EACH = 16, 60
SAME_PERSON = 8
"""Clients that all act for the first person at once."""


@pytest.fixture
def own_service(sample_release: SampleRelease, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    home = tmp_path_factory.mktemp("events")
    running = start_service(sample_release, home, REDIS_TIMEOUT_MS="250", REDIS_RETRY_MS="100")
    running.wait_until_ready()
    yield running
    running.stop()


@pytest.fixture
async def client(own_service: Service) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=own_service.url, timeout=60) as client:
        yield client


async def test_nothing_acknowledged_is_lost_and_nothing_counts_twice(
    client: httpx.AsyncClient, own_service: Service
) -> None:
    redis, acknowledged = EmbeddedRedis(own_service.home), defaultdict[str, set[int]](set)
    stored_in = defaultdict[str, int](int)
    calm = asyncio.Event()

    async def somebody(user_id: str, films: list[int]) -> None:
        again = itertools.takewhile(lambda _: not calm.is_set(), itertools.cycle(films))
        for film in itertools.chain(films, again):
            rated = {"user_id": user_id, "item_id": film, "event_type": "rate", "value": 4}
            headers = {"Idempotency-Key": f"{user_id}-{film}"}
            for _ in range(2):  # everything is sent twice, as clients do that lost the answer
                told = await client.post("/events", json=rated, headers=headers)
                assert told.status_code == 202
                stored_in[told.json()["stored_in"]] += 1
                acknowledged[user_id].add(film)

    async def some_more_are_stored_in(place: str) -> None:
        enough = stored_in[place] + 50
        async with asyncio.timeout(60):
            while stored_in[place] < enough:
                await asyncio.sleep(0.02)

    async def trouble() -> None:
        for how in (signal.SIGKILL, signal.SIGSTOP, signal.SIGKILL):
            await some_more_are_stored_in("redis")
            assert redis.pid is not None
            pid = redis.pid
            os.kill(pid, how)
            await some_more_are_stored_in("spool")
            if how is signal.SIGSTOP:
                os.kill(pid, signal.SIGCONT)
        await some_more_are_stored_in("redis")
        calm.set()

    films = list(range(1, 1 + FILMS_EACH * SAME_PERSON))
    crowd = [somebody("crowded", films[at::SAME_PERSON]) for at in range(SAME_PERSON)]
    alone = [somebody(f"alone-{at}", films[at * 7 : at * 7 + FILMS_EACH]) for at in range(PEOPLE)]
    await asyncio.gather(trouble(), *crowd, *alone)
    for user_id, expected in acknowledged.items():
        async with asyncio.timeout(60):
            while True:
                known = (await client.get(f"/people/{user_id}", params={"limit": 1_000})).json()
                if len(known["history"]) >= len(expected):
                    break
                await asyncio.sleep(0.1)  # the spool is replayed once a second
        found = [film["movie_id"] for film in known["history"]]
        assert sorted(found) == sorted(expected)
    assert len(acknowledged["crowded"]) == FILMS_EACH * SAME_PERSON


async def test_a_person_who_is_forgotten_among_their_own_events_leaves_nothing_behind(
    client: httpx.AsyncClient,
) -> None:
    """Events race with DELETE. Whatever comes first, after a last DELETE nothing is left, and no answer is an error."""
    stop = asyncio.Event()

    async def act(at: int) -> None:
        film = at + 1
        while not stop.is_set():
            event = {"user_id": "restless", "item_id": film, "event_type": "like"}
            assert (await client.post("/events", json=event)).status_code == 202
            answer = await client.post("/recommend", json={"user_id": "restless"})
            assert answer.json()["recommendations"]

    acting = [asyncio.create_task(act(at)) for at in range(8)]
    for _ in range(30):
        assert (await client.delete("/users/restless")).status_code == 200
    stop.set()
    await asyncio.gather(*acting)
    assert (await client.delete("/users/restless")).status_code == 200
    assert (await client.get("/people/restless")).json()["total_ratings"] == 0
    assert (await client.delete("/users/restless")).json()["events_deleted"] == 0
