"""Triton's perf_analyzer against our server: it finds its way over both ports and measures without an error."""

from __future__ import annotations

import csv
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.inference.official_clients.simple_models import write_repository
from tests.inference.server_process import Started, started

pytestmark = pytest.mark.triton

SHORT = ["--measurement-mode", "count_windows", "--measurement-request-count", "50", "-s", "999", "--percentile", "95"]
"""Windows of 50 requests, any spread of which is stable enough: the way is tested, not the speed."""


@pytest.fixture(scope="module")
def perf_analyzer() -> Path:
    """The folder that holds it and its libraries."""
    if "TRITON_REFERENCE" not in os.environ:
        pytest.skip("needs TRITON_REFERENCE=DIR, a folder that tests/reference_server.sh has laid out")
    return Path(os.environ["TRITON_REFERENCE"]).resolve()


@pytest.fixture(scope="module")
def server(perf_analyzer: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Started]:
    """Ours, with the models of Triton's examples."""
    root = tmp_path_factory.mktemp("models")
    write_repository(root, ("simple", "simple_identity", "simple_sequence"))
    with started(f"--model-repository={root}") as running:
        yield running


@pytest.mark.parametrize("protocol", ["http", "grpc"])
@pytest.mark.parametrize(
    "flags",
    [
        "-m simple --concurrency-range 1:4:3",
        "-m simple --concurrency-range 4 --async -b 4",
        "-m simple --shared-memory system --output-shared-memory-size 64",
        "-m simple --request-rate-range 100",
        "-m simple_identity --shape INPUT0:3 --string-length 5",
    ],
)
def test_it_measures(protocol, flags, perf_analyzer, server, tmp_path):
    measured(perf_analyzer, server, protocol, flags, tmp_path)


@pytest.mark.parametrize("flags", ["-m simple --async --streaming --concurrency-range 4",
                                   "-m simple_sequence --async --streaming --sequence-length 5"])  # fmt: skip
def test_it_measures_a_stream(flags, perf_analyzer, server, tmp_path):
    measured(perf_analyzer, server, "grpc", flags, tmp_path)


def test_it_reads_the_metrics(perf_analyzer, server, tmp_path):
    metrics = f"--collect-metrics --metrics-interval 500 --metrics-url {server.metrics}/metrics"
    measured(perf_analyzer, server, "http", f"-m simple {metrics}", tmp_path)


def measured(home: Path, server: Started, protocol: str, flags: str, folder: Path) -> None:
    """Run it; every row of its report has requests that were answered and what the server says of them."""
    report = folder / "report.csv"
    address = server.http if protocol == "http" else server.grpc
    command = [home / "pa" / "perf_analyzer", "-i", protocol, "-u", address, "-f", report, *SHORT, *flags.split()]
    environment = {**os.environ, "LD_LIBRARY_PATH": str(home / "palib")}
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, env=environment)
    assert done.returncode == 0, done.stdout + done.stderr
    with report.open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    assert rows
    for row in rows:
        assert float(row["Inferences/Second"]) > 0
        assert int(row["Server Compute Infer"]) > 0
