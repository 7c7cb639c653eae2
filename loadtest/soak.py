"""A soak: a running server at 70 % of what it can do, for as long as wanted, with an eye on its memory.

First the server is driven as fast as it goes for some seconds; then requests come at a steady 70 % of that rate,
whether or not earlier ones were answered. The mix is that of `workload`, every tenth request an event.
"""

from __future__ import annotations

import asyncio
import random
import time
from dataclasses import dataclass, field
from typing import Annotated

import aiohttp
import numpy as np
import orjson
import psutil
import typer
from rich.console import Console

from loadtest.workload import Workload, workload_from_answer

LOAD_RATIO = 0.7
CAPACITY_CLIENTS = 16
EVENT_RATIO = 0.1
OUTSTANDING_LIMIT = 512
"""Requests under way beyond which the server counts as unable to keep up; further ones are counted, not sent."""


@dataclass(slots=True)
class Soaked:
    """What a soak gave."""

    per_second: float
    """Rate of the soak: 70 % of the capacity."""
    latencies_ms: list[float] = field(default_factory=list)
    failures: dict[str, int] = field(default_factory=dict)
    """By what went wrong; `not sent` where the server did not keep up."""
    memory_mib: list[float] = field(default_factory=list)
    """Resident memory of the server's processes, once a second."""

    def growth_ratio(self) -> float:
        """Memory of the last quarter against that of the second one; the first is for caches to fill. 0 = flat."""
        quarter = max(len(self.memory_mib) // 4, 1)
        then, now = np.median(self.memory_mib[quarter : 2 * quarter]), np.median(self.memory_mib[-quarter:])
        return float(now / then - 1)

    def percentile_ms(self, q: float) -> float:
        """A percentile of the latencies, in milliseconds."""
        return float(np.percentile(self.latencies_ms, q))


class Soak:
    """One run against one server."""

    def __init__(self, port: int, pid: int, seed: int = 7, api_key: str = "") -> None:
        self._url = f"http://127.0.0.1:{port}"
        self._headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
        self._server = psutil.Process(pid)
        self._chance = random.Random(seed)

    async def run(self, seconds: float, capacity_seconds: float = 5.0) -> Soaked:
        """Find the capacity, then soak."""
        connector = aiohttp.TCPConnector(limit=OUTSTANDING_LIMIT)
        async with aiohttp.ClientSession(self._url, connector=connector, headers=self._headers) as session:
            async with session.post("/recommend", data=b'{"top_k": 200}') as response:
                workload = workload_from_answer(orjson.loads(await response.read())["recommendations"])
            capacity = await self._capacity(session, workload, capacity_seconds)
            soaked = Soaked(capacity * LOAD_RATIO)
            watching = asyncio.create_task(self._watch(soaked))
            await self._at_a_steady_rate(session, workload, soaked, seconds)
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)
        return soaked

    async def _capacity(self, session: aiohttp.ClientSession, workload: Workload, seconds: float) -> float:
        warm_up = Soaked(0)
        end_s = time.monotonic() + seconds

        async def client() -> None:
            while time.monotonic() < end_s:
                await self._ask(session, workload, warm_up)

        await asyncio.gather(*(client() for _ in range(CAPACITY_CLIENTS)))
        return len(warm_up.latencies_ms) / seconds

    async def _at_a_steady_rate(
        self, session: aiohttp.ClientSession, workload: Workload, soaked: Soaked, seconds: float
    ) -> None:
        started_s, under_way, sent = time.monotonic(), set[asyncio.Task[None]](), 0
        while (elapsed_s := time.monotonic() - started_s) < seconds:
            for _ in range(int(elapsed_s * soaked.per_second) - sent):
                sent += 1
                if len(under_way) >= OUTSTANDING_LIMIT:
                    soaked.failures["not sent"] = soaked.failures.get("not sent", 0) + 1
                    continue
                task = asyncio.create_task(self._ask(session, workload, soaked))
                under_way.add(task)
                task.add_done_callback(under_way.discard)
            await asyncio.sleep(0.005)
        await asyncio.gather(*under_way)

    async def _ask(self, session: aiohttp.ClientSession, workload: Workload, soaked: Soaked) -> None:
        path, body = "/recommend", workload.recommend_body(self._chance)
        if self._chance.random() < EVENT_RATIO:
            film, person = self._chance.choice(workload.movie_ids), self._chance.randint(1, workload.people)
            path, body = "/events", {"user_id": person, "item_id": film, "event_type": "view"}
        started_s = time.perf_counter()
        try:
            async with session.post(path, data=orjson.dumps(body)) as response:
                await response.read()
                wrong = None if response.status < 300 else f"{path} {response.status}"
        except aiohttp.ClientError as error:
            wrong = f"{path} {type(error).__name__}"
        if wrong is None:
            soaked.latencies_ms.append((time.perf_counter() - started_s) * 1_000)
        else:
            soaked.failures[wrong] = soaked.failures.get(wrong, 0) + 1

    async def _watch(self, soaked: Soaked) -> None:
        while True:
            processes = [self._server, *self._server.children(recursive=True)]
            soaked.memory_mib.append(sum(process.memory_info().rss for process in processes) / 2**20)
            await asyncio.sleep(1)


def main(
    pid: Annotated[int, typer.Option(help="Process of the server; its children are watched with it.")],
    port: Annotated[int, typer.Option(help="Where it answers.")] = 3000,
    seconds: Annotated[float, typer.Option(help="How long to soak.")] = 600,
    api_key: Annotated[str, typer.Option(envvar="MARQUEE_API_KEY", help="Where the server asks for one.")] = "",
) -> None:
    """Soak a running server at 70 % of its capacity and say what became of its memory.

    Example: python -m loadtest.soak --pid $(pgrep -of 'bentoml serve') --seconds 3600
    """
    soaked = asyncio.run(Soak(port, pid, api_key=api_key).run(seconds))
    console = Console()
    console.print(f"{soaked.per_second:,.0f} requests/s for {seconds:,.0f} s, {len(soaked.latencies_ms):,} answered")
    console.print(f"p50 {soaked.percentile_ms(50):.1f} ms, p99 {soaked.percentile_ms(99):.1f} ms")
    first, last = soaked.memory_mib[0], soaked.memory_mib[-1]
    console.print(f"memory {first:,.0f} -> {last:,.0f} MiB, second to last quarter {soaked.growth_ratio():+.1%}")
    console.print(f"failures: {soaked.failures or 'none'}")
    raise typer.Exit(1 if soaked.failures else 0)


if __name__ == "__main__":
    typer.run(main)
