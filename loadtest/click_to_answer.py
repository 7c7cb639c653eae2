"""How soon a click shows: from the acknowledgement of an event to an answer that reflects it.

People are made up, each with a short history of their own. The clock starts when the event is acknowledged and stops
when an answer has arrived that was made after it; asking again at once is part of the figure.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from typing import Annotated

import aiohttp
import numpy as np
import orjson
import typer
from rich.console import Console

from loadtest.closed_loop import Round, UnexpectedAnswer

HISTORY = 3
TRIES = 100


def reaction(port: int, people: int = 200, at_a_time: int = 1, api_key: str = "") -> Round:
    """Click once as each of `people`, `at_a_time` of them at the same time.

    Raises: UnexpectedAnswer when a request fails, or an event does not show in 100 answers.
    """
    return asyncio.run(_reaction(port, people, at_a_time, api_key))


async def _reaction(port: int, people: int, at_a_time: int, api_key: str) -> Round:
    run, seats = uuid.uuid4().hex[:8], asyncio.Semaphore(at_a_time)
    headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
    async with aiohttp.ClientSession(f"http://127.0.0.1:{port}", headers=headers) as session:
        films = await _films(session, {"top_k": 200})

        async def one(number: int) -> float:
            async with seats:
                return await _click(session, f"click-{run}-{number}", np.roll(films, number)[:HISTORY].tolist())

        started_s = time.perf_counter()
        latencies_s = await asyncio.gather(*(one(number) for number in range(people)))
        elapsed_s = time.perf_counter() - started_s
        for number in range(people):
            await (await session.delete(f"/users/click-{run}-{number}")).read()
    return Round(elapsed_s, np.array(latencies_s) * 1e6)


async def _click(session: aiohttp.ClientSession, user_id: str, history: list[int]) -> float:
    for film in history:
        await _event(session, {"user_id": user_id, "item_id": film, "event_type": "like"})
    chosen = (await _films(session, {"user_id": user_id}))[0]
    await _event(session, {"user_id": user_id, "item_id": chosen, "event_type": "like"})
    acknowledged_s = time.perf_counter()
    for _ in range(TRIES):
        if chosen not in await _films(session, {"user_id": user_id}):
            return time.perf_counter() - acknowledged_s
    raise UnexpectedAnswer(f"{TRIES} answers still recommend film {chosen} to {user_id}, who likes it already")


async def _films(session: aiohttp.ClientSession, body: dict[str, object]) -> list[int]:
    async with session.post("/recommend", data=orjson.dumps(body)) as response:
        if response.status != 200:
            raise UnexpectedAnswer(f"POST /recommend: {response.status}")
        return [film["movie_id"] for film in orjson.loads(await response.read())["recommendations"]]


async def _event(session: aiohttp.ClientSession, body: dict[str, object]) -> None:
    async with session.post("/events", data=orjson.dumps(body)) as response:
        if response.status != 202:
            raise UnexpectedAnswer(f"POST /events: {response.status}")
        await response.read()


def main(
    port: Annotated[int, typer.Option(help="Port of a running server.")] = 3000,
    people: Annotated[int, typer.Option(help="Made-up people who click once each; they are forgotten again.")] = 200,
    clients: Annotated[int, typer.Option(help="People at the same time.")] = 1,
    api_key: Annotated[str, typer.Option(envvar="MARQUEE_API_KEY", help="Where the server asks for one.")] = "",
) -> None:
    """Measure how soon a click shows in the next answer of a running server.

    Example: python -m loadtest.click_to_answer --port 3000 --clients 16
    """
    latencies_ms = reaction(port, people, clients, api_key).latencies_us / 1_000
    p50, p99 = np.percentile(latencies_ms, (50, 99))
    Console().print(
        f"from acknowledged event to changed answer, {clients} at a time: p50 {p50:.1f} ms, p99 {p99:.1f} ms"
    )


if __name__ == "__main__":
    typer.run(main)
