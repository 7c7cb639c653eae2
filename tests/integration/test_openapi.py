"""Requests that a program makes up from the OpenAPI document: whatever is sent, no answer is a server error, and every
answer has a status, a type and a shape that the document names."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import SampleRelease, Service, start_service

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900)]

CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"


@pytest.fixture(scope="module")
def own_service(sample_release: SampleRelease, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """One that nobody else asks: people and films come and go here."""
    running = start_service(sample_release, tmp_path_factory.mktemp("openapi"))
    try:
        running.wait_until_ready()
        yield running
    finally:
        running.stop()


def make_up_requests(service: Service, folder: Path, *options: str) -> int:
    """Let schemathesis ask the service; how many requests it made. What it found fails the test, with its words."""
    command = [sys.executable, "-m", "schemathesis.cli", "run", f"{service.url}/openapi.json", "--no-color"]
    command += ["--checks", CHECKS, "--generation-deterministic", *options]
    made = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert made.returncode == 0, made.stdout[-6_000:] + made.stderr[-2_000:]
    counted = re.search(r"(\d+) generated, (\d+) passed", made.stdout)
    assert counted is not None, made.stdout[-2_000:]
    assert counted[1] == counted[2]
    return int(counted[1])


def test_examples_and_made_up_requests_are_answered_as_documented(own_service: Service, tmp_path: Path) -> None:
    assert make_up_requests(own_service, tmp_path, "--phases", "examples,fuzzing", "--max-examples", "5") > 100


@pytest.mark.slow
def test_every_bound_and_a_hundred_made_up_requests_a_route_are_answered_as_documented(
    own_service: Service, tmp_path: Path
) -> None:
    phases = ("--phases", "examples,coverage,fuzzing,stateful", "--max-examples", "100")
    assert make_up_requests(own_service, tmp_path, *phases, "--continue-on-failure") > 3_000
