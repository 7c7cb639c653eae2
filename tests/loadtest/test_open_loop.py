"""Open-loop runs against a server whose delays are known, as the command line starts them."""

from __future__ import annotations

import csv
import gzip
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from loadtest.closed_loop import Target, measure
from tests.conftest import ROOT, free_port
from tests.loadtest.stand_in import StandIn, stand_in

RATE, STALL_S = 100, 1.0


@dataclass(frozen=True, slots=True)
class Ended:
    """A run of Locust that has ended."""

    status: int
    printed: str
    folder: Path

    def figures(self, file: str) -> list[dict[str, str]]:
        with (self.folder / file).open(newline="", encoding="utf-8") as lines:
            return list(csv.DictReader(lines))

    def requests(self) -> list[dict[str, str]]:
        with gzip.open(self.folder / "requests.csv.gz", "rt", encoding="utf-8") as lines:
            return list(csv.DictReader(lines))


def run(url: str, folder: Path, *options: str) -> Ended:
    command = [sys.executable, "-m", "locust", "-f", "loadtest/open_loop/locustfile.py", "--headless", "--only-summary"]
    shown = subprocess.run(
        [*command, "--host", url, "--report", str(folder), *options],
        cwd=ROOT, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    return Ended(shown.returncode, shown.stdout + shown.stderr, folder)


@pytest.fixture(scope="module")
def stalled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ended]:
    """Four seconds at 100/s; the sixtieth question stalls everything for a second."""
    with stand_in(stall_at=60, stall_s=STALL_S) as server:
        options = ("--rate", str(RATE), "--duration", "4s", "--bounds", "p99_ms<=500,failed_ratio<=0")
        yield run(server.url, tmp_path_factory.mktemp("stalled"), *options)


def test_every_request_is_there_with_the_instant_at_which_it_was_to_start(stalled: Ended) -> None:
    intended_s = sorted(float(row["intended_s"]) for row in stalled.requests())
    assert intended_s == pytest.approx([number / RATE for number in range(400)])


def test_all_who_came_during_a_stall_waited(stalled: Ended) -> None:
    """50 requests were to start in the first half of the second: each waited for at least the other half."""
    slow = [row for row in stalled.requests() if float(row["latency_ms"]) >= STALL_S / 2 * 1_000]
    assert len(slow) >= STALL_S / 2 * RATE - 1


def test_an_open_loop_shows_a_stall_that_a_closed_loop_hides(stalled: Ended) -> None:
    """One stall is one slow answer for one client, but a quarter of what 400 people asked in four seconds."""
    with stand_in(stall_at=60, stall_s=STALL_S) as server:
        closed = measure(Target("stand-in", "http", server.port, "/recommend", (b'{"top_k": 10}',)), 1, 3)
    closed_p99_ms = float(np.percentile(closed.latencies_us, 99, method="inverted_cdf")) / 1_000
    open_p99_ms = float(stalled.figures("phases.csv")[0]["p99_ms"])
    assert closed.latencies_us.max() >= STALL_S * 1e6
    assert closed_p99_ms < open_p99_ms / 2


def test_a_broken_bound_is_named_and_fails_the_command(stalled: Ended) -> None:
    assert stalled.status == 1
    assert "broken: p99_ms<=500: it is" in stalled.printed
    assert "broken: failed_ratio" not in stalled.printed
    assert "FAIL" in (stalled.folder / "report.html").read_text(encoding="utf-8")


def test_two_local_workers_share_a_run_of_steps(tmp_path: Path) -> None:
    """20 + 40 + 60 + 80 + 100 requests, and bounds that no machine breaks."""
    port = str(free_port())
    workers = ("--processes", "2", "--master-bind-host", "127.0.0.1", "--master-bind-port", port, "--master-port", port)
    shape = ("--rate", "100", "--duration", "5s", "--shape", "step", "--bounds", "failed_ratio<=0,step-5.p99_ms<=60000")
    with stand_in() as server:
        ended = run(server.url, tmp_path, *shape, *workers)
        asked = len(server.questions)
    assert ended.status == 0, ended.printed
    phases = {row["phase"]: int(row["answered"]) for row in ended.figures("phases.csv")}
    assert phases == {"all": 300, "step-1": 20, "step-2": 40, "step-3": 60, "step-4": 80, "step-5": 100}
    kinds = {row["kind"]: int(row["answered"]) for row in ended.figures("kinds.csv")}
    assert kinds["recommend"] + 2 == asked  # each worker asks once for the films
    assert {path.name for path in tmp_path.iterdir()} == {
        "kinds.csv", "latency.svg", "percentiles.svg", "phases.csv", "rate.svg", "report.html", "requests.csv.gz",
        "seconds.csv",
    }  # fmt: skip
    assert "PASS" in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_refusals_are_told_from_answers(tmp_path: Path) -> None:
    """The films are question 1, so that of all further ones every other is refused."""
    with stand_in(refuse_each=2) as server:
        ended = run(server.url, tmp_path, "--rate", "50", "--duration", "2s", "--bounds", "refused_ratio<=0.01")
        refused = len(server.questions) // 2
    total = ended.figures("phases.csv")[0]
    assert (int(total["refused"]), int(total["failed"]), int(total["answered"])) == (refused, 0, 100 - refused)
    assert ended.status == 1
    assert "broken: refused_ratio<=0.01" in ended.printed


def test_requests_beyond_those_that_may_wait_are_failures(tmp_path: Path) -> None:
    """50 come in the second of the stall, and 10 may wait, the stalled one too: 40, less a few at its edges."""
    with stand_in(stall_at=20, stall_s=STALL_S) as server:
        ended = run(server.url, tmp_path, "--rate", "50", "--duration", "3s", "--under-way", "10")
    total = ended.figures("phases.csv")[0]
    assert int(total["not_sent"]) >= 35
    assert int(total["answered"]) + int(total["not_sent"]) == 150


def test_a_server_that_is_not_there_fails_the_run(tmp_path: Path) -> None:
    ended = run(f"http://127.0.0.1:{free_port()}", tmp_path, "--rate", "50", "--duration", "60s")
    assert ended.status == 1
    assert "3,000 requests were to start, 0 are accounted for" in ended.printed


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--shape", "spike", "--bounds", "step-1.p99_ms<=1"), "no phase 'step-1', only before, spike, after"),
        (("--rate", "0"), "0 must be above 0"),
    ],
)
def test_options_that_do_not_fit_together_stop_before_the_first_request(
    asked: StandIn, tmp_path: Path, options: tuple[str, ...], message: str
) -> None:
    ended = run(asked.url, tmp_path, *options)
    assert ended.status != 0
    assert message in ended.printed
    assert asked.questions == []


@pytest.fixture
def asked() -> Iterator[StandIn]:
    """A server that notes what it is asked."""
    with stand_in() as server:
        yield server
