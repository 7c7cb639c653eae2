"""What one request costs the service in processor time, beside another checkout of it.

`python -m loadtest.processor_time --before DIR` starts the service of this checkout and the one of DIR, each pinned to
one core, and asks both for the same, round by round in turns with the order reversed each time. Counted is the
processor time of the service's own processes, Redis not included, so other work on the machine hardly matters. The
settings of both come from the environment (`MODEL_REPOSITORY`, `MARQUEE_RELEASE`).
"""

from __future__ import annotations

import contextlib
import http.client
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from rich.console import Console
from rich.progress import track
from rich.table import Table

from loadtest.benchmark import free_port, running

REDIS = "redis-server"


START = """
import os, pathlib, sys
os.sched_setaffinity(0, {{{core}}})
os.chdir({checkout!r})
pathlib.Path({pid_file!r}).write_text(str(os.getpid()))
os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
"""
"""Becomes the service: the process keeps its pid."""


@dataclass(frozen=True, slots=True)
class Ask:
    """One kind of request; its answer must have the status."""

    method: str
    path: str
    body: bytes | None = None
    status: int = 200

    @property
    def name(self) -> str:
        """As the table shows it."""
        return f"{self.method} {self.path}" + (f" -> {self.status}" if self.status != 200 else "")


ASKS = (
    Ask("GET", "/health"),
    Ask("GET", "/static/app.js"),
    Ask("GET", "/movie/1"),
    Ask("GET", "/poster/1"),
    Ask("GET", "/people/1"),
    Ask("GET", "/recommend?user_id=1&limit=10"),
    Ask("POST", "/recommend", b'{"user_id": "1", "top_k": 10}'),
    Ask("POST", "/similar", b'{"movie_id": 1, "top_k": 10}'),
    Ask("GET", "/nowhere", status=404),
    Ask("GET", "/v2/models/ease"),
    Ask("GET", "/v2/health/ready"),
)


@dataclass(frozen=True, slots=True)
class Server:
    """A running service."""

    port: int
    pids: tuple[int, ...]

    def cost_us(self, ask: Ask, requests: int) -> float:
        """Processor time of one request in microseconds, over `requests` on one connection."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            before_s = self.processor_s()
            for _ in range(requests):
                connection.request(ask.method, ask.path, ask.body)
                answer = connection.getresponse()
                answer.read()
                if answer.status != ask.status:
                    raise RuntimeError(f"{ask.name}: answered {answer.status}")
            return (self.processor_s() - before_s) / requests * 1e6
        finally:
            connection.close()

    def processor_s(self) -> float:
        """Processor time of the service so far, in seconds."""
        return sum(_processor_s(pid) for pid in self.pids)


def _processor_s(pid: int) -> float:
    """To the nanosecond, where /proc/PID/stat counts hundredths of a second."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e9


def _descendants(pid: int) -> Iterator[int]:
    """A process and those it started, Redis left out."""
    if Path(f"/proc/{pid}/comm").read_text().strip() == REDIS:
        return
    yield pid
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            yield from _descendants(int(child))


@contextlib.contextmanager
def service(checkout: Path, home: Path, core: int, **own: str) -> Iterator[Server]:
    """The service of a checkout, pinned to one core. `own`: settings beside those of the environment."""
    port, grpc_port = free_port(), free_port()
    pid_file = home / "pid"
    home.mkdir(parents=True)
    start = START.format(core=core, checkout=str(checkout), pid_file=str(pid_file))
    serve = ["-m", "bentoml", "serve", "bento.service:Recommender", "--port", str(port)]
    settings = {"GRPC_PORT": str(grpc_port), "MARQUEE_HOME": str(home), "PYTHONPATH": str(checkout), **own}
    with running([sys.executable, "-c", start, *serve], port, settings, "/v2/health/ready"):
        yield Server(port, tuple(_descendants(int(pid_file.read_text()))))


def measured(before: Server, after: Server, requests: int, rounds: int) -> dict[Ask, list[tuple[float, float]]]:
    """For each kind of request pairs of costs, before and after, in microseconds."""
    for ask in ASKS:
        before.cost_us(ask, 20), after.cost_us(ask, 20)  # caches fill
    pairs: dict[Ask, list[tuple[float, float]]] = {ask: [] for ask in ASKS}
    for turn in track(range(rounds), "measuring", console=Console(stderr=True)):
        for ask in ASKS:
            order = (before, after) if turn % 2 else (after, before)
            cost = {server: server.cost_us(ask, requests) for server in order}
            pairs[ask].append((cost[before], cost[after]))
    return pairs


def main(
    before: Annotated[Path, typer.Option(help="The other checkout, the one to compare with.")],
    requests: Annotated[int, typer.Option(help="Requests of one kind in one round.")] = 1_000,
    rounds: Annotated[int, typer.Option(help="Rounds, each asking both.")] = 11,
    core: Annotated[int, typer.Option(help="The core that both services run on.")] = 0,
) -> None:
    """Print the processor time of each kind of request, before and now, and their ratio: medians over the rounds."""
    here = Path(__file__).resolve().parent.parent
    with tempfile.TemporaryDirectory() as home, contextlib.ExitStack() as stack:
        servers = [
            stack.enter_context(service(checkout.resolve(), Path(home) / name, core))
            for name, checkout in (("before", before), ("now", here))
        ]
        pairs = measured(servers[0], servers[1], requests, rounds)
    table = Table("request", "before, µs", "now, µs", "now / before", title="processor time, medians")
    for ask, costs in pairs.items():
        old, new = np.median(np.array(costs), axis=0)
        ratios = np.array([after / before for before, after in costs])
        spread = f"{np.median(ratios):.2f} ({ratios.min():.2f} to {ratios.max():.2f})"
        table.add_row(ask.name, f"{old:.0f}", f"{new:.0f}", spread)
    Console(width=110).print(table)


if __name__ == "__main__":
    typer.run(main)
