"""The whole service in a process of its own, on the genre world's repository."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from tests.recommender import live_world

START_LIMIT_S = 60
"""Ten seconds are promised on an idle machine; tests share theirs."""


def free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports: list[int] = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def serve(environment: dict[str, str], *arguments: str) -> subprocess.Popen[bytes]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("MARQUEE_", "REDIS_"))}
    return subprocess.Popen(
        [sys.executable, "-m", "bentoml", "serve", "bento.service:Recommender", *arguments],
        cwd=live_world.ROOT,
        env=clean | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )


@dataclass
class Served:
    """A running service."""

    process: subprocess.Popen[bytes]
    url: str
    grpc_url: str
    home: Path

    @property
    def redis_pid(self) -> int:
        return int((self.home / "redis" / "redis.pid").read_text())

    def get(self, path: str) -> httpx.Response:
        return httpx.get(f"{self.url}{path}", timeout=30)

    def recommend(self, **body: object) -> dict:  # type: ignore[type-arg]
        response = httpx.post(f"{self.url}/recommend", json=body, timeout=30)
        assert response.status_code == 200, response.text
        answer: dict = response.json()  # type: ignore[type-arg]
        return answer


def start(repository: Path, home: Path, **settings: str) -> Served:
    port, grpc_port = free_ports(2)
    environment = {
        "MODEL_REPOSITORY": str(repository),
        "PORT": str(port),
        "GRPC_PORT": str(grpc_port),
        "MARQUEE_HOME": str(home),
        "MARQUEE_DEVICE": "cpu",
        "DRAIN_S": "0",
        **settings,
    }
    served = Served(serve(environment), f"http://127.0.0.1:{port}", f"127.0.0.1:{grpc_port}", home)
    deadline_s = time.monotonic() + START_LIMIT_S
    while time.monotonic() < deadline_s and served.process.poll() is None:
        try:
            if served.get("/v2/health/ready").status_code == 200:
                return served
        except httpx.TransportError:
            time.sleep(0.1)  # nothing tells another process that a port is open
    served.process.kill()
    pytest.fail(f"no service after {START_LIMIT_S} s:\n{served.process.communicate()[0].decode()}")
