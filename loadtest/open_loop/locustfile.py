"""Locust with an open loop: `make load MODE=open`, or `locust -f loadtest/open_loop/locustfile.py --headless`.

One `ArrivalUser` in each worker starts the worker's share of all arrivals and waits for no answer; `ArrivalShape` ends
the run when all are answered. Each time that Locust reports counts from when the request was to start. More workers:
`--processes 4` on one machine, or `--master --expect-workers 4` here and `--worker` wherever a worker runs.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import gevent
from gevent.pool import Pool
from locust import FastHttpUser, LoadTestShape, events, task
from locust.env import Environment
from locust.exception import StopUser
from locust.runners import MasterRunner, WorkerRunner
from rich.console import Console
from rich.table import Table as PrintedTable

from loadtest.api_key import signed
from loadtest.open_loop.arrivals import Arrival, arrivals
from loadtest.open_loop.bounds import parse_bounds
from loadtest.open_loop.options import MIXES, options_of, phases_for
from loadtest.open_loop.report import Run, write
from loadtest.open_loop.samples import Outcome, Samples
from loadtest.soak_mix import Call
from loadtest.workload import workload_from_answer

CATALOGUE_SAMPLE = 200
START_S = 10.0
"""A worker must have started its user by then, or the run ends."""

REFUSALS = (429, 503)

SAMPLES = Samples()


class ArrivalShape(LoadTestShape):
    """One user a worker until all are done: the rates are in the phases, which each user knows."""

    def __init__(self) -> None:
        super().__init__()
        self._started = False

    def tick(self) -> tuple[int, float] | None:
        """The same number of users always; None where all have ended, or cannot end any more."""
        assert self.runner is not None
        options = options_of(self.runner.environment)
        users, elapsed_s = self.get_current_user_count(), self.get_run_time()
        self._started = self._started or users > 0
        never_started = not self._started and elapsed_s > START_S
        overdue = elapsed_s > START_S + options.duration + 2 * options.answer_timeout
        if (self._started and users == 0) or never_started or overdue:
            return None
        return options.expect_workers, options.expect_workers


class NotSent(Exception):
    """Too many requests were under way."""

    def __init__(self, under_way: int) -> None:
        super().__init__(f"not sent: {under_way} requests of this worker wait for an answer")


class ArrivalUser(FastHttpUser):
    """Starts each of its worker's requests when it is due, in a greenlet of its own."""

    def __init__(self, environment: Environment) -> None:
        self.options = options_of(environment)
        self.concurrency = self.options.under_way
        self.network_timeout = self.connection_timeout = self.options.answer_timeout
        self.default_headers = signed(environment)
        super().__init__(environment)

    def on_start(self) -> None:
        """Learn the films, and connect, before time counts."""
        body = {"user_id": "load-test", "top_k": CATALOGUE_SAMPLE}
        answer = self.client.post("/recommend", json=body, name="first look")
        answer.raise_for_status()
        workload = workload_from_answer(answer.json()["recommendations"], self.options.people)
        assert self.environment.runner is not None
        self.worker = self.environment.runner.worker_index
        self.mix = MIXES[self.options.mix](workload, self.options.seed + self.worker)

    @task
    def send_all(self) -> None:
        """Start every request of this worker, then wait for what is under way."""
        under_way = Pool(self.options.under_way)
        started_s = time.perf_counter()
        for arrival in arrivals(phases_for(self.environment), self.worker, self.options.expect_workers):
            call = self.mix.next_call()
            intended_s = started_s + arrival.at_s
            gevent.sleep(max(0.0, intended_s - time.perf_counter()))
            if under_way.free_count() > 0:
                under_way.spawn(self.send, call, arrival, intended_s)
            else:
                self.give_up(call, arrival)
        under_way.join()
        raise StopUser

    def send(self, call: Call, arrival: Arrival, intended_s: float) -> None:
        """Send one request and report its time from when it was to start."""
        send_lag_ms = (time.perf_counter() - intended_s) * 1_000
        with self.client.request(
            call.method,
            call.path,
            name=call.kind,
            json=call.body,
            catch_response=True,
            context={"arrival": arrival, "send_lag_ms": send_lag_ms},
        ) as response:
            response.request_meta["response_time"] = (time.perf_counter() - intended_s) * 1_000
            if call.kind == "recommend" and response.status_code == 200 and not response.json()["recommendations"]:
                response.failure("an empty list of recommendations")

    def give_up(self, call: Call, arrival: Arrival) -> None:
        """Report a request that is not sent."""
        self.environment.events.request.fire(
            request_type=call.method,
            name=call.kind,
            response_time=None,
            response_length=0,
            exception=NotSent(self.options.under_way),
            context={"arrival": arrival, "send_lag_ms": 0.0},
            response=None,
        )


@events.request.add_listener
def keep(name: str, response_time: float | None, exception: Exception | None, context: Any, **facts: Any) -> None:
    """Keep what became of an arrival; Locust keeps its own rounded statistics beside."""
    if "arrival" not in context:
        return
    if isinstance(exception, NotSent):
        outcome = Outcome.NOT_SENT
    elif facts["response"].status_code in REFUSALS:
        outcome = Outcome.REFUSED
    else:
        outcome = Outcome.ANSWERED if exception is None else Outcome.FAILED
    arrival = context["arrival"]
    SAMPLES.add([(arrival.at_s, response_time or 0.0, context["send_lag_ms"], arrival.phase, name, outcome)])


@events.report_to_master.add_listener
def hand_over(client_id: str, data: dict[str, Any]) -> None:
    """What a worker kept since its last report goes to the master."""
    data["arrivals"] = SAMPLES.take()


@events.worker_report.add_listener
def collect(client_id: str, data: dict[str, Any]) -> None:
    """The master keeps what workers report."""
    SAMPLES.add(data.get("arrivals", []))


@events.quitting.add_listener
def conclude(environment: Environment, **_: Any) -> None:
    """Write the report, print the figures, and let the exit status say whether the run kept its bounds."""
    if environment.runner is None or isinstance(environment.runner, WorkerRunner):
        return
    environment.process_exit_code = 1
    options, phases = options_of(environment), phases_for(environment)
    bounds = parse_bounds(options.bounds, tuple(phase.name for phase in phases))
    shown = ("host", "shape", "rate", "duration", "peak", "mix", "people", "seed", "bounds")
    facts = {name: str(getattr(options, name)) for name in shown}
    workers = options.expect_workers if isinstance(environment.runner, MasterRunner) else 0
    run = Run(facts | {"workers": str(workers or "none, one process")}, phases, bounds, SAMPLES.table())
    write(run, Path(options.report))
    show(run, Path(options.report))
    environment.process_exit_code = 1 if run.broken or environment.runner.exceptions else 0


def show(run: Run, folder: Path) -> None:
    """The figures of a run in the terminal."""
    console = Console()
    table = PrintedTable("phase", "offered/s", "answered/s", "p50 ms", "p99 ms", "max ms", "failed", "lag ms")
    for name, each in {"all": run.whole, **run.of_phases}.items():
        times = (each.p50_ms, each.p99_ms, each.max_ms)
        rates = (f"{each.offered_per_s:.1f}", f"{each.answered_per_s:.1f}")
        table.add_row(
            name, *rates, *(f"{each:.1f}" for each in times), f"{each.failed_ratio:.2%}", f"{each.send_lag_p99_ms:.1f}"
        )
    console.print(table)
    for warning in run.warnings:
        console.print(f"warning: {warning}", soft_wrap=True)
    for reason in run.broken:
        console.print(f"broken: {reason}", soft_wrap=True)
    console.print(f"{'FAIL' if run.broken else 'PASS'}: {folder / 'report.html'}", soft_wrap=True)
