"""Processes of a running service, killed with no chance to tidy up."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import psutil
import pytest

from bento.serving.ports import check_port_is_free
from bento.stores.connection.embedded_redis import EmbeddedRedis, listens
from tests.conftest import SampleRelease, Service, start_service

pytestmark = [pytest.mark.chaos, pytest.mark.integration, pytest.mark.redis, pytest.mark.timeout(300)]

PATIENCE_S = 60.0


@pytest.fixture
def own_service(sample_release: SampleRelease, tmp_path: Path) -> Iterator[Service]:
    running = start_service(sample_release, tmp_path)
    running.wait_until_ready()
    yield running
    running.stop()


def worker(service: Service) -> psutil.Process:
    """The process that answers; BentoML's own resource tracker is another child."""
    children = psutil.Process(service.process.pid).children()
    return next(child for child in children if "_bentoml_impl.worker.service" in child.cmdline())


def wait_until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not true():
        assert time.monotonic() < deadline, f"not within {PATIENCE_S:.0f} s"
        time.sleep(0.05)


def test_a_killed_worker_is_started_again_and_knows_what_was_acknowledged(own_service: Service) -> None:
    film = {"user_id": "patient", "item_id": 1, "event_type": "like"}
    assert httpx.post(f"{own_service.url}/events", json=film, timeout=10).status_code == 202
    killed = worker(own_service)
    killed.kill()
    wait_until(lambda: not killed.is_running() or killed.status() == psutil.STATUS_ZOMBIE)
    own_service.wait_until_ready()
    known = httpx.get(f"{own_service.url}/people/patient", timeout=10).json()
    assert known["total_ratings"] == 1
    answer = httpx.post(f"{own_service.url}/recommend", json={"user_id": "patient", "top_k": 3}, timeout=30).json()
    assert len(answer["recommendations"]) == 3
    assert answer["degraded"] == []


def test_a_killed_supervisor_leaves_nothing_behind(own_service: Service) -> None:
    left, redis = worker(own_service), EmbeddedRedis(own_service.home)
    assert listens(redis.socket_path)
    os.kill(own_service.process.pid, signal.SIGKILL)
    wait_until(lambda: not left.is_running())
    assert not listens(redis.socket_path)
    check_port_is_free("PORT", "127.0.0.1", own_service.port)
    check_port_is_free("GRPC_PORT", "127.0.0.1", own_service.grpc_port)
