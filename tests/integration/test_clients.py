"""The client scripts run as the README shows them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT, Service

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900)]

SCRIPTS = ("recommender_client", "v2_http_client", "v2_grpc_client")


def run(script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, f"clients/{script}.py", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)


@pytest.mark.parametrize("script", SCRIPTS)
def test_client_explains_itself(script: str) -> None:
    shown = run(script, "--help")
    assert shown.returncode == 0
    assert "Usage" in shown.stdout


def test_recommender_client_prints_films(service: Service) -> None:
    shown = run("recommender_client", "recommend", "--url", service.url, "--history", "1,2,3", "--top-k", "4")
    assert shown.returncode == 0, shown.stderr
    assert f"release {service.release.number}" in shown.stdout


@pytest.mark.parametrize("script", ["v2_http_client", "v2_grpc_client"])
def test_v2_client_embeds_and_retrieves(service: Service, script: str, tmp_path: Path) -> None:
    url = f"127.0.0.1:{service.port if script == 'v2_http_client' else service.grpc_port}"
    poster = next((service.release.home / "data").rglob("posters/1.jpg"))
    for arguments in (
        ("models",),
        ("embed-text", "a quiet film about the sea"),
        ("embed-image", str(poster)),
        ("candidates", "--rows", "3,14,15", "--top-k", "5"),
    ):
        shown = run(script, *arguments, "--url", url)
        assert shown.returncode == 0, (arguments, shown.stderr)
        assert shown.stdout.strip()


@pytest.mark.parametrize("script", SCRIPTS)
def test_client_says_in_one_line_that_nobody_listens(script: str) -> None:
    where = ["--url", "http://127.0.0.1:9" if script == "recommender_client" else "127.0.0.1:9"]
    shown = run(script, "health" if script == "recommender_client" else "models", *where)
    assert shown.returncode == 1
    assert "Traceback" not in shown.stderr
    assert shown.stderr.strip()
