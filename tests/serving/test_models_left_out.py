"""A model of the release that cannot run here: the whole service names it, with the reason, in each place."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import tritonclient.grpc

from tests.recommender import live_world
from tests.serving.service_process import START_LIMIT_S, Served, start

pytestmark = [pytest.mark.integration, pytest.mark.redis]

MODEL = "user_tower_torchscript"

WITHOUT_TORCH = """
from importlib.machinery import PathFinder

find_spec = PathFinder.find_spec
PathFinder.find_spec = lambda name, *rest: None if name.partition(".")[0] == "torch" else find_spec(name, *rest)
"""
"""Runs before anything else in a Python process and makes torch look as if it were not installed."""


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    repository = tmp_path_factory.mktemp("live") / "model_repository"
    live_world.write_repository(repository)
    add_model(repository)
    site = tmp_path_factory.mktemp("site")
    (site / "sitecustomize.py").write_text(WITHOUT_TORCH)
    running = start(repository, tmp_path_factory.mktemp("home"), PYTHONPATH=f"{site}:{live_world.ROOT}")
    yield running
    if running.process.poll() is None:
        running.process.terminate()
        running.process.communicate(timeout=START_LIMIT_S)


def add_model(repository: Path) -> None:
    """The committed configuration with a file that nobody opens."""
    folder = repository / MODEL / "1"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.pt").write_bytes(b"0")
    committed = live_world.ROOT / "model_repository" / MODEL / "config.pbtxt"
    (repository / MODEL / "config.pbtxt").write_text(committed.read_text())
    manifest = json.loads((repository / "release.json").read_text())
    file = {"sha256": hashlib.sha256(b"0").hexdigest(), "bytes": 1}
    manifest["releases"]["1"]["models"][MODEL]["files"] = {"model.pt": file}
    (repository / "release.json").write_text(json.dumps(manifest))


def test_the_repository_index_gives_the_reason(served: Served) -> None:
    rows = httpx.post(f"{served.url}/v2/repository/index", json={}, timeout=30).json()
    (row,) = [row for row in rows if row["name"] == MODEL]
    assert (row["version"], row["state"]) == ("1", "UNAVAILABLE")
    assert "needs torch, which is not installed" in row["reason"]


def test_the_repository_index_over_grpc_gives_the_reason(served: Served) -> None:
    with tritonclient.grpc.InferenceServerClient(served.grpc_url) as client:
        (row,) = [row for row in client.get_model_repository_index().models if row.name == MODEL]
    assert (row.version, row.state) == ("1", "UNAVAILABLE")
    assert "needs torch" in row.reason


def test_config_gives_the_reason(served: Served) -> None:
    config = served.get("/config").json()
    assert "needs torch" in config["models_left_out"][MODEL]
    assert MODEL not in config["models"]


def test_the_service_is_ready_without_it(served: Served) -> None:
    assert served.get("/v2/health/ready").status_code == 200
    assert served.get(f"/v2/models/{MODEL}/ready").status_code == 400


def test_a_request_is_refused(served: Served) -> None:
    response = httpx.post(f"{served.url}/v2/models/{MODEL}/infer", json={"inputs": []}, timeout=30)
    assert response.status_code == 404
    assert MODEL in response.json()["error"]


def test_loading_it_fails_with_the_reason(served: Served) -> None:
    response = httpx.post(f"{served.url}/v2/repository/models/{MODEL}/load", json={}, timeout=30)
    assert response.status_code == 400
    assert "needs torch" in response.json()["error"]
    assert served.get("/v2/health/ready").status_code == 200


def test_the_log_names_it_at_the_start(served: Served) -> None:
    served.process.terminate()
    output = served.process.communicate(timeout=START_LIMIT_S)[0].decode()
    assert f"models not served: {MODEL}: TorchScript needs torch" in output
