"""`POST /recommend` of this checkout beside another one: requests/s, latency and processor time, in alternating rounds.

`python -m loadtest.side_by_side --before DIR` starts both services on one core and asks them from another, closed
loop. Each may serve a release of its own (`--before-repository`, `--repository`). Before anything is measured, both
answer the same questions, and how many lists are the same is printed: figures of different answers mean little.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import random
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import httpx
import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from loadtest.closed_loop import Target, measure
from loadtest.processor_time import Server, service
from loadtest.workload import Workload, workload_from_answer

COMPARED = 50
UNCACHED_BODIES = 20_000
"""More than one round asks, so that no question comes twice."""

Figures = tuple[float, float, float, float]
"""Requests/s, p50 and p99 in ms, processor time of a request in µs."""


@dataclass(frozen=True, slots=True)
class Case:
    """One row of the table."""

    kind: str
    clients: int

    def bodies(self, workload: Workload, seed: int) -> tuple[bytes, ...]:
        """Questions of people who come back, or questions that nobody asked before."""
        if self.kind == "cached":
            asked = [{"user_id": person, "top_k": 10} for person in range(1, workload.people + 1)]
        else:
            chance = random.Random(seed)
            asked = [workload.uncached_body(chance) for _ in range(UNCACHED_BODIES)]
        return tuple(json.dumps(body).encode() for body in asked)


def one_round(server: Server, case: Case, workload: Workload, seed: int, seconds: float) -> Figures:
    """Raises: UnexpectedAnswer when a request is not answered with success."""
    target = Target(case.kind, "http", server.port, "/recommend", case.bodies(workload, seed))
    before_s = server.processor_s()
    answered = measure(target, case.clients, seconds)
    used_us = (server.processor_s() - before_s) * 1e6
    p50, p99 = np.percentile(answered.latencies_us, (50, 99)) / 1e3
    return answered.per_second, float(p50), float(p99), used_us / len(answered.latencies_us)


def same_lists(before: Server, now: Server, workload: Workload) -> int:
    """Of `COMPARED` questions, how many both answer with the same films in the same order."""
    chance, same = random.Random(0), 0
    for _ in range(COMPARED):
        body = workload.uncached_body(chance)
        films = [_films(server, body) for server in (before, now)]
        same += films[0] == films[1]
    return same


def _films(server: Server, body: dict[str, Any]) -> list[Any]:
    answer = httpx.post(f"http://127.0.0.1:{server.port}/recommend", json=body, timeout=60).raise_for_status().json()
    return [film["movie_id"] for film in answer["recommendations"]]


def _workload(server: Server) -> Workload:
    answer = httpx.post(f"http://127.0.0.1:{server.port}/recommend", json={"top_k": 1_000}, timeout=60).json()
    return workload_from_answer(answer["recommendations"])


def main(
    before: Annotated[Path, typer.Option(help="The other checkout, the one to compare with.")],
    before_repository: Annotated[Path, typer.Option(help="Its model repository.")],
    repository: Annotated[Path, typer.Option(help="The model repository of this checkout.")],
    clients: Annotated[str, typer.Option(help="Clients at a time, one row each.")] = "1,16,64",
    rounds: Annotated[int, typer.Option(help="Rounds of each case, each asking both.")] = 5,
    seconds: Annotated[float, typer.Option(help="Length of one round.")] = 2.0,
    core: Annotated[int, typer.Option(help="The core that both services run on; the clients use the others.")] = 0,
) -> None:
    """Print medians over the rounds, before and now, and their ratios."""
    here = Path(__file__).resolve().parent.parent
    os.sched_setaffinity(0, os.sched_getaffinity(0) - {core})
    console = Console(width=120)
    table = Table(
        "/recommend", "clients", "requests/s", "p50 ms", "p99 ms", "processor µs", title="before → now (ratio)"
    )
    with tempfile.TemporaryDirectory() as home, contextlib.ExitStack() as stack:
        servers = [
            stack.enter_context(service(at.resolve(), Path(home) / name, core, MODEL_REPOSITORY=str(models.resolve())))
            for name, at, models in (("before", before, before_repository), ("now", here, repository))
        ]
        workload, seeds = _workload(servers[1]), itertools.count(1)  # no two rounds ask the same
        console.print(f"{same_lists(servers[0], servers[1], workload)} of {COMPARED} lists are the same")
        for kind in ("uncached", "cached"):
            for number in map(int, clients.split(",")):
                case = Case(kind, number)
                figures: dict[int, list[Figures]] = {0: [], 1: []}
                for turn in range(-1, rounds):  # the first warms up
                    for at in (0, 1) if turn % 2 else (1, 0):
                        found = one_round(servers[at], case, workload, next(seeds), seconds)
                        if turn >= 0:
                            figures[at].append(found)
                old, new = (np.median(np.array(figures[at]), axis=0) for at in (0, 1))
                cells = [f"{a:,.3g} → {b:,.3g} ({b / a:.2f})" for a, b in zip(old, new, strict=True)]
                table.add_row(kind, str(number), *cells)
    console.print(table)


if __name__ == "__main__":
    typer.run(main)
