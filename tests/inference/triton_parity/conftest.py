"""The real tritonserver and ours, each with the same repository, side by side."""

from __future__ import annotations

import os
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from bento.inference.core.options import ServerOptions
from bento.inference.server import InferenceServer
from tests.inference.running_servers import FAST_PATH, Running, serve_in_thread
from tests.inference.triton_parity.reference_models import write_repository

START_TIMEOUT_S = 120


@dataclass(frozen=True)
class Peer:
    """Where the real server listens."""

    http: str
    grpc: str
    metrics: str


@pytest.fixture(scope="session")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The models, on disk."""
    root = tmp_path_factory.mktemp("models")
    write_repository(root)
    return root


@pytest.fixture(scope="session")
def reference(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Peer]:
    """The real server, ready."""
    if "TRITON_REFERENCE" not in os.environ:
        pytest.skip("needs TRITON_REFERENCE=DIR, a folder that tests/reference_server.sh has laid out")
    home = Path(os.environ["TRITON_REFERENCE"]).resolve()
    server = home / "tw" / "pytriton" / "tritonserver"
    http, grpc, metrics = free_ports(3)
    log = tmp_path_factory.mktemp("tritonserver") / "log.txt"
    command = [
        server / "bin" / "tritonserver",
        f"--model-repository={repository}",
        f"--backend-directory={server / 'backends'}",
        f"--cache-directory={server / 'caches'}",
        f"--backend-config=python,shm-region-prefix-name=marquee_parity_{os.getpid()}_",
        "--model-control-mode=explicit",
        "--load-model=*",
        *(f"--{name}-address=127.0.0.1" for name in ("http", "grpc", "metrics")),
        *(f"--{name}-port={port}" for name, port in (("http", http), ("grpc", grpc), ("metrics", metrics))),
    ]
    environment = {
        **os.environ,
        "REFERENCE_SITE_PACKAGES": str(home / "ortvenv" / "lib" / "python3.11" / "site-packages"),
        "OMP_NUM_THREADS": "1",
    }
    with log.open("wb") as out, subprocess.Popen(command, stdout=out, stderr=out, env=environment) as process:
        try:
            _wait_until_ready(process, http, log)
            yield Peer(*(f"127.0.0.1:{port}" for port in (http, grpc, metrics)))
        finally:
            process.terminate()
            process.wait(60)


@pytest.fixture(scope="session")
def ours(repository: Path) -> Iterator[Running]:
    """Our server, ready, over the same models."""
    options = ServerOptions(
        repositories=(repository,),
        model_control_mode="explicit",
        load_models=("*",),
        trust_python_models=True,
        fast_path=FAST_PATH,
    )
    yield from serve_in_thread(lambda: InferenceServer.start(options), max_body_bytes=64 << 20)


def free_ports(count: int) -> list[int]:
    """Ports of the loopback interface that are free now."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
    finally:
        for one in sockets:
            one.close()


def _wait_until_ready(process: subprocess.Popen[bytes], http_port: int, log: Path) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline:
        if process.poll() is not None:
            break
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{http_port}/v2/health/ready", timeout=5):
                return
        except (urllib.error.URLError, ConnectionError):
            time.sleep(0.2)  # there is no event to wait for but the answer itself
    raise RuntimeError(f"the reference server did not become ready:\n{log.read_text(errors='replace')[-4000:]}")
