"""A soak: a running server at 70 % of what it can do, for as long as wanted, with an eye on its memory.

First the server is driven as fast as it goes for some seconds; then requests come at a steady 70 % of that rate,
whether or not earlier ones were answered. What they ask is `soak_mix`.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Annotated

import aiohttp
import numpy as np
import orjson
import typer
from rich.console import Console

from loadtest.memory import WARM_UP_SHARE, MemorySeries, MemoryWatch
from loadtest.soak_mix import Call, Mix
from loadtest.workload import workload_from_answer

LOAD_RATIO = 0.7
CAPACITY_CLIENTS = 16
OUTSTANDING_LIMIT = 512
"""Requests under way beyond which the server counts as unable to keep up; further ones are counted, not sent."""

TELL_EVERY_S = 60.0


@dataclass(slots=True)
class Soaked:
    """What a soak gave."""

    per_second: float
    """Rate of the soak: 70 % of the capacity."""
    latencies_ms: list[float] = field(default_factory=list)
    answered: Counter[str] = field(default_factory=Counter)
    """By what was asked."""
    failures: Counter[str] = field(default_factory=Counter)
    """By what went wrong; `not sent` where the server did not keep up."""
    memory: dict[str, MemorySeries] = field(default_factory=dict)
    """Process -> its memory, once a second."""

    def percentile_ms(self, q: float, newest: int = 0) -> float:
        """A percentile of the latencies in milliseconds, of all or of the newest."""
        return float(np.percentile(self.latencies_ms[-newest:], q)) if self.latencies_ms else 0.0

    def grown_bytes_per_request(self, process: str) -> float:
        """What a process keeps of each request after the warm-up; 0 = flat."""
        return self.memory[process].growth_mib() * 2**20 / (len(self.latencies_ms) * (1 - WARM_UP_SHARE))


class Soak:
    """One run against one server."""

    def __init__(
        self,
        port: int,
        pid: int,
        seed: int = 7,
        api_key: str = "",
        others: dict[str, int] | None = None,
        tell: Callable[[str], None] = lambda line: None,
    ) -> None:
        """`others`: processes to watch beside the server and its children; `tell` hears of the progress each minute."""
        self._url = f"http://127.0.0.1:{port}"
        self._headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
        self._memory = MemoryWatch(pid, others or {})
        self._seed = seed
        self._tell = tell

    async def run(self, seconds: float, capacity_seconds: float = 5.0) -> Soaked:
        """Find the capacity, then soak."""
        connector = aiohttp.TCPConnector(limit=OUTSTANDING_LIMIT)
        async with aiohttp.ClientSession(self._url, connector=connector, headers=self._headers) as session:
            async with session.post("/recommend", data=b'{"top_k": 200}') as response:
                workload = workload_from_answer(orjson.loads(await response.read())["recommendations"])
            mix = Mix(workload, self._seed)
            await self._capacity(session, mix, capacity_seconds / 2)  # what is asked first wakes threads and caches
            capacity = await self._capacity(session, mix, capacity_seconds)
            soaked = Soaked(capacity * LOAD_RATIO, memory=self._memory.series)
            self._tell(
                f"{capacity:,.0f} requests/s at {CAPACITY_CLIENTS} clients; {soaked.per_second:,.0f} from now on"
            )
            watching = asyncio.create_task(self._watch(soaked, seconds))
            await self._at_a_steady_rate(session, mix, soaked, seconds)
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)
        return soaked

    async def _capacity(self, session: aiohttp.ClientSession, mix: Mix, seconds: float) -> float:
        warm_up = Soaked(0)
        end_s = time.monotonic() + seconds

        async def client() -> None:
            while time.monotonic() < end_s:
                await self._ask(session, mix.next_call(), warm_up)

        await asyncio.gather(*(client() for _ in range(CAPACITY_CLIENTS)))
        return len(warm_up.latencies_ms) / seconds

    async def _at_a_steady_rate(self, session: aiohttp.ClientSession, mix: Mix, soaked: Soaked, seconds: float) -> None:
        started_s, under_way, sent = time.monotonic(), set[asyncio.Task[None]](), 0
        while (elapsed_s := time.monotonic() - started_s) < seconds:
            for _ in range(int(elapsed_s * soaked.per_second) - sent):
                sent += 1
                if len(under_way) >= OUTSTANDING_LIMIT:
                    soaked.failures["not sent"] += 1
                    continue
                task = asyncio.create_task(self._ask(session, mix.next_call(), soaked))
                under_way.add(task)
                task.add_done_callback(under_way.discard)
            await asyncio.sleep(0.005)
        await asyncio.gather(*under_way)

    async def _ask(self, session: aiohttp.ClientSession, call: Call, soaked: Soaked) -> None:
        body = None if call.body is None else orjson.dumps(call.body)
        started_s = time.perf_counter()
        try:
            async with session.request(call.method, call.path, data=body) as response:
                await response.read()
                wrong = None if response.status < 300 else f"{call.kind} {response.status}"
        except (aiohttp.ClientError, TimeoutError) as error:
            wrong = f"{call.kind} {type(error).__name__}"
        if wrong is None:
            soaked.latencies_ms.append((time.perf_counter() - started_s) * 1_000)
            soaked.answered[call.kind] += 1
        else:
            soaked.failures[wrong] += 1

    async def _watch(self, soaked: Soaked, seconds: float) -> None:
        started_s, told = time.monotonic(), 0
        while True:
            elapsed_s = time.monotonic() - started_s
            self._memory.look(elapsed_s)
            if elapsed_s // TELL_EVERY_S > told:
                told = int(elapsed_s // TELL_EVERY_S)
                self._tell(f"{elapsed_s:,.0f} of {seconds:,.0f} s: {state_in_words(soaked)}")
            await asyncio.sleep(1)


def state_in_words(soaked: Soaked) -> str:
    """How it goes, in one line: the latencies are the newest minute's."""
    newest = int(soaked.per_second * TELL_EVERY_S)
    latency = f"p50 {soaked.percentile_ms(50, newest):.1f} ms, p99 {soaked.percentile_ms(99, newest):.1f} ms"
    memory = ", ".join(f"{name} {series.mib[-1]:,.0f}" for name, series in soaked.memory.items())
    return (
        f"{len(soaked.latencies_ms):,} answered, {latency}, MiB: {memory}; failures: {dict(soaked.failures) or 'none'}"
    )


def main(
    pid: Annotated[int, typer.Option(help="Process of the server; its children are watched with it.")],
    port: Annotated[int, typer.Option(help="Where it answers.")] = 3000,
    seconds: Annotated[float, typer.Option(help="How long to soak.")] = 600,
    redis_pid: Annotated[int, typer.Option(help="Process of its Redis, to watch that too.")] = 0,
    api_key: Annotated[str, typer.Option(envvar="MARQUEE_API_KEY", help="Where the server asks for one.")] = "",
) -> None:
    """Soak a running server at 70 % of its capacity and say what became of its memory.

    Example: python -m loadtest.soak --pid $(pgrep -of 'bentoml serve') --redis-pid $(cat .marquee/redis/redis.pid)
    """
    console = Console()
    others = {"redis": redis_pid} if redis_pid else {}
    soaked = asyncio.run(Soak(port, pid, api_key=api_key, others=others, tell=console.print).run(seconds))
    console.print(state_in_words(soaked))
    for name in soaked.memory:
        console.print(f"{name}: {soaked.grown_bytes_per_request(name):+.1f} bytes a request after the warm-up")
    raise typer.Exit(1 if soaked.failures else 0)


if __name__ == "__main__":
    typer.run(main)
