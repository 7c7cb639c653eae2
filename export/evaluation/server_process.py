"""A server of its own for an evaluation: started on free ports with a home of its own, ended afterwards."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from export.errors import ServerNotReady
from export.layout import ROOT

READY_TIMEOUT_S = 120.0
STOP_TIMEOUT_S = 30.0
PATIENCE_MS = 20_000
"""What a part may take: the evaluation asks what is recommended, not how fast on a machine that does other things."""

LOG_TAIL = 3_000
"""Characters of a failed server's output that are shown."""


@contextmanager
def running_server(repository: Path, number: int) -> Iterator[str]:
    """The address of a server of this release, which is up while the context is.

    Nothing that it remembers outlives it, and it answers nothing from a cache.
    Raises: ServerNotReady, with the end of the server's own output.
    """
    with tempfile.TemporaryDirectory(prefix="marquee-evaluation-") as home, tempfile.TemporaryFile() as log:
        port = _free_port()
        settings = {
            "MARQUEE_HOST": "127.0.0.1", "MODEL_REPOSITORY": str(repository.absolute()),
            "MARQUEE_RELEASE": str(number), "MARQUEE_HOME": home,
            "PORT": str(port), "GRPC_PORT": "0", "CACHE_TTL_S": "0", "REDIS_URL": "",
            "ENCODER_TIMEOUT_MS": str(PATIENCE_MS), "RETRIEVAL_TIMEOUT_MS": str(PATIENCE_MS),
            "REQUEST_TIMEOUT_MS": str(4 * PATIENCE_MS),
        }  # fmt: skip
        command = [sys.executable, "-m", "bentoml", "serve", "bento.service:Recommender", "--port", str(port)]
        process = subprocess.Popen(
            command, cwd=ROOT, env=os.environ | settings, stdout=log, stderr=subprocess.STDOUT
        )  # fmt: skip
        try:
            if not _becomes_ready(process, f"http://127.0.0.1:{port}"):
                log.seek(0)
                raise ServerNotReady(READY_TIMEOUT_S, log.read()[-LOG_TAIL:].decode(errors="replace"))
            yield f"http://127.0.0.1:{port}"
        finally:
            _end(process)


def _becomes_ready(process: subprocess.Popen[bytes], url: str) -> bool:
    deadline = time.monotonic() + READY_TIMEOUT_S
    while process.poll() is None and time.monotonic() < deadline:
        try:
            if httpx.get(f"{url}/v2/health/ready", timeout=2).status_code == 200:
                return True
        except httpx.TransportError:
            pass  # not listening yet
        time.sleep(0.1)
    return False


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
