"""Closed-loop load: N clients, each sends its next request when the last one is answered.

Runs in a process of its own (`measure`), so that making requests does not share an interpreter with
collecting them. HTTP goes through aiohttp, gRPC through grpc.aio, both on uvloop, both sending bytes that
were made beforehand. Their own cost (some 100 µs a request) is part of every figure: compare, do not add.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ProcessPoolExecutor
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from typing import Literal

import aiohttp
import grpc
import numpy as np
import numpy.typing as npt
import uvloop

Ask = Callable[[bytes], Awaitable[None]]
"""Sends one body and returns when it was answered with success."""


@dataclass(frozen=True, slots=True)
class Target:
    """What is asked: one method or path of one server, with bodies that are sent in turn."""

    name: str
    protocol: Literal["http", "grpc"]
    port: int
    path: str
    bodies: tuple[bytes, ...]
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Round:
    """What one round gave: seconds it took, and the latency of every answered request in µs."""

    seconds: float
    latencies_us: npt.NDArray[np.float64]

    @property
    def per_second(self) -> float:
        """Answered requests per second."""
        return len(self.latencies_us) / self.seconds


class UnexpectedAnswer(Exception):
    """A benchmark of errors is no benchmark: the round stops at the first answer that is not a success."""


def measure(target: Target, clients: int, seconds: float) -> Round:
    """Load `target` with `clients` at a time for about `seconds`, from a fresh process.

    Raises UnexpectedAnswer when a request was not answered with success.
    """
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(_run, target, clients, seconds).result()


def _run(target: Target, clients: int, seconds: float) -> Round:
    ask_over = {"http": _http_asker, "grpc": _grpc_asker}[target.protocol]
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_closed_loop(target, ask_over(target), clients, seconds))


async def _closed_loop(target: Target, asker: AbstractAsyncContextManager[Ask], clients: int, seconds: float) -> Round:
    latencies_s: list[float] = []
    async with asker as ask:
        started = time.perf_counter()
        end = started + seconds

        async def client(number: int) -> None:
            turn = number
            while (asked := time.perf_counter()) < end:
                await ask(target.bodies[turn % len(target.bodies)])
                latencies_s.append(time.perf_counter() - asked)
                turn += clients

        await asyncio.gather(*(client(number) for number in range(clients)))
        return Round(time.perf_counter() - started, np.array(latencies_s) * 1e6)


@asynccontextmanager
async def _http_asker(target: Target) -> AsyncIterator[Ask]:
    url = f"http://127.0.0.1:{target.port}{target.path}"
    connector = aiohttp.TCPConnector(limit=0)
    # Like tritonclient it does not ask for compressed answers, which an echo server would not give either.
    async with aiohttp.ClientSession(connector=connector, skip_auto_headers=["Accept-Encoding"]) as session:

        async def ask(body: bytes) -> None:
            async with session.post(url, data=body, headers=target.headers) as response:
                answer = await response.read()
                if response.status != 200:
                    raise UnexpectedAnswer(f"{target.name}: HTTP {response.status}: {answer[:300]!r}")

        yield ask


@asynccontextmanager
async def _grpc_asker(target: Target) -> AsyncIterator[Ask]:
    async with grpc.aio.insecure_channel(f"127.0.0.1:{target.port}") as channel:
        call = channel.unary_unary(target.path)

        async def ask(body: bytes) -> None:
            try:
                await call(body)
            except grpc.aio.AioRpcError as error:
                raise UnexpectedAnswer(f"{target.name}: {error.code()}: {error.details()}") from error

        yield ask
