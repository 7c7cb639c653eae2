"""`python -m bento monitor | verify` against the whole service, and against nobody."""

from __future__ import annotations

import subprocess
import sys

import pytest

from bento.commands.verify import CHECKS, alerts
from tests.conftest import ROOT, Service, free_port

pytestmark = [pytest.mark.integration, pytest.mark.redis]


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "bento", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)


def test_a_running_service_keeps_its_promises(service: Service) -> None:
    done = run("verify", "--url", service.url)
    # Whether anything raises an alert depends on what other tests did to the service that they share.
    kept = [check for check in CHECKS if check is not alerts]
    assert [
        line for line in done.stdout.splitlines() if line.startswith("✗") and "There are no alerts" not in line
    ] == []
    assert sum(line.startswith("✓") for line in done.stdout.splitlines()) >= len(kept), done.stdout + done.stderr


def test_the_monitor_shows_latency_and_embeddings(service: Service) -> None:
    done = run("monitor", "--url", service.url)
    assert done.stderr == ""
    for title in ("latency, ms", "response cache", "coverage", "embeddings"):
        assert title in done.stdout


def test_where_nobody_listens_both_fail_and_say_so() -> None:
    url = f"http://127.0.0.1:{free_port()}"
    monitored, verified = run("monitor", "--url", url), run("verify", "--url", url)
    assert (monitored.returncode, verified.returncode) == (1, 1)
    assert "Is it running?" in monitored.stdout
    assert f"0 of {len(CHECKS)} checks passed" in verified.stdout


def test_help_teaches() -> None:
    assert "python -m bento verify --url" in run("verify", "--help").stdout.replace("\n", " ")
    assert {"monitor", "verify"} <= set(run("--help").stdout.split())
