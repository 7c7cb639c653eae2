"""The client scripts run as the README shows them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT, Service

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900)]

SCRIPTS = ("recommender_client", "v2_http_client", "v2_grpc_client")


def run(script: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, f"clients/{script}.py", *arguments]
    with_more = os.environ | environment
    return subprocess.run(command, cwd=ROOT, env=with_more, capture_output=True, text=True, timeout=120, check=False)


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


def test_a_server_that_asks_refuses_who_brings_nothing(asking_service: Service) -> None:
    shown = run("recommender_client", "recommend", "--url", asking_service.url)
    assert (shown.returncode, "Traceback" in shown.stderr) == (1, False)
    assert "HTTP 401" in shown.stderr


def test_the_recommender_client_signs_with_a_key(asking_service: Service, admin_key: str) -> None:
    shown = run("recommender_client", "recommend", "--url", asking_service.url, "--api-key", admin_key)
    assert shown.returncode == 0, shown.stderr


@pytest.mark.parametrize("script", ["v2_http_client", "v2_grpc_client"])
def test_v2_clients_sign_with_a_key_of_the_environment(asking_service: Service, admin_key: str, script: str) -> None:
    port = asking_service.port if script == "v2_http_client" else asking_service.grpc_port
    asked = ("embed-text", "the sea", "--url", f"127.0.0.1:{port}")
    assert run(script, *asked).returncode == 1
    shown = run(script, *asked, MARQUEE_API_KEY=admin_key)
    assert shown.returncode == 0, shown.stderr
    assert run(script, "models", *asked[2:], "--api-key", admin_key).returncode == 0


@pytest.mark.slow
@pytest.mark.parametrize("has_key", [True, False])
def test_locust_signs_with_a_key(asking_service: Service, admin_key: str, has_key: bool) -> None:
    command = [sys.executable, "-m", "locust", "-f", "loadtest/locustfile.py", "--headless", "--users", "6"]
    environment = {"MARQUEE_GRPC": f"127.0.0.1:{asking_service.grpc_port}"}
    limits = ["--spawn-rate", "6", "--run-time", "4s", "--host", asking_service.url, "--only-summary"]
    key = ["--api-key", admin_key] if has_key else []
    shown = subprocess.run(
        [*command, *limits, *key], cwd=ROOT, env=os.environ | environment, capture_output=True, text=True, check=False
    )
    assert (shown.returncode == 0) is has_key, shown.stderr[-2000:]


@pytest.mark.parametrize("mix", ["sessions", "soak"])
def test_an_open_loop_asks_nothing_that_the_service_refuses(
    asking_service: Service, admin_key: str, tmp_path: Path, mix: str
) -> None:
    command = [sys.executable, "-m", "locust", "-f", "loadtest/open_loop/locustfile.py", "--headless", "--only-summary"]
    load = ["--host", asking_service.url, "--api-key", admin_key, "--rate", "30", "--duration", "5s", "--mix", mix]
    judged = ["--bounds", "failed_ratio<=0", "--report", str(tmp_path)]
    shown = subprocess.run(
        [*command, *load, *judged], cwd=ROOT, capture_output=True, text=True, timeout=120, check=False
    )
    assert shown.returncode == 0, shown.stdout + shown.stderr
    assert "150,150,0,0,0" in (tmp_path / "phases.csv").read_text(encoding="utf-8")


def test_people_a_minute_are_measured_against_a_running_service(service: Service, tmp_path: Path) -> None:
    options = ["--people", "20", "--size", "10", "--known", "5", "--report", str(tmp_path / "batch.json")]
    command = [sys.executable, "-m", "loadtest.batch", "--url", service.url, *options]
    shown = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert shown.returncode == 0, shown.stderr
    assert "people a minute" in shown.stdout
    assert set(json.loads((tmp_path / "batch.json").read_text())["routes"]) == {
        "/batch/recommend",
        "/batch/recommend/cache",
    }
