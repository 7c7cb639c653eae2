"""What several test folders share: a release of the embedded sample, and the whole service running on it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

ROOT = Path(__file__).resolve().parent.parent
TEST_HOME = ROOT / ".marquee" / "tests"
"""Kept between runs, so that the sample is trained once; apart from what `make serve` uses."""

START_TIMEOUT_S = 120.0


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--require-triton", action="store_true", help="a skipped test that is marked `triton` fails the run"
    )


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]):  # type: ignore[no-untyped-def]
    report = yield
    if report.skipped and item.config.getoption("--require-triton") and item.get_closest_marker("triton"):
        report.outcome = "failed"
    return report


@dataclass(frozen=True, slots=True)
class SampleRelease:
    """A release of the embedded sample."""

    number: int
    repository: Path
    home: Path


@pytest.fixture(scope="session")
def sample_release() -> SampleRelease:
    """Train and export the embedded sample, unless an earlier run did (minutes against a second)."""
    repository = TEST_HOME / "model_repository"
    where = ["--data", "sample", "--repository", str(repository), "--home", str(TEST_HOME)]
    command = [sys.executable, "-m", "export", "ensure", *where, "--print-release"]
    made = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, check=True, text=True)
    return SampleRelease(int(made.stdout.split()[-1]), repository, TEST_HOME)


@dataclass(slots=True)
class Service:
    """A running `bentoml serve bento.service:Recommender`."""

    process: subprocess.Popen[bytes]
    port: int
    grpc_port: int
    release: SampleRelease
    log: Path
    home: Path

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def wait_until_ready(self) -> None:
        """Raises AssertionError with the log when the service ends or is not ready in time."""
        deadline = time.monotonic() + START_TIMEOUT_S
        while True:
            try:
                if httpx.get(f"{self.url}/v2/health/ready", timeout=2).status_code == 200:
                    return
            except httpx.TransportError:
                pass
            assert self.process.poll() is None, self.log.read_text()[-4000:]
            assert time.monotonic() < deadline, self.log.read_text()[-4000:]
            time.sleep(0.1)

    def stop(self) -> int:
        """End it as Ctrl-C does; returns its exit status."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGTERM)
        try:
            return self.process.wait(30)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            return self.process.wait()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def start_service(release: SampleRelease, home: Path, **environment: str) -> Service:
    """Start the service with a home of its own; wait for `wait_until_ready` before asking it."""
    home.mkdir(parents=True, exist_ok=True)
    port, grpc_port, log = free_port(), free_port(), home / "service.log"
    settings = {
        "MODEL_REPOSITORY": str(release.repository),
        "MARQUEE_RELEASE": str(release.number),
        "MARQUEE_HOME": str(home),
        "PORT": str(port),
        "GRPC_PORT": str(grpc_port),
        # Tests share their cores with everything else that runs; slowness is not what they are about.
        "ENCODER_TIMEOUT_MS": "20000",
        "RETRIEVAL_TIMEOUT_MS": "20000",
        "REQUEST_TIMEOUT_MS": "60000",
        "REDIS_TIMEOUT_MS": "2000",
        "DRAIN_S": "0",
        **environment,
    }
    command = [sys.executable, "-m", "bentoml", "serve", "bento.service:Recommender", "--port", str(port)]
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, cwd=ROOT, env=os.environ | settings, stdout=output, stderr=output, start_new_session=True
        )
    return Service(process, port, grpc_port, release, log, home)


@pytest.fixture(scope="session")
def service(sample_release: SampleRelease, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """The whole service on the embedded sample, shared by all tests of a run."""
    running = start_service(sample_release, tmp_path_factory.mktemp("service"))
    try:
        running.wait_until_ready()
        yield running
    finally:
        running.stop()


PREFIX = "/films"
"""Of `visited_service`."""


@pytest.fixture(scope="session")
def shop_port() -> int:
    """Port of the one origin whose pages may ask `visited_service`."""
    return free_port()


@pytest.fixture(scope="session")
def visited_service(
    sample_release: SampleRelease, tmp_path_factory: pytest.TempPathFactory, shop_port: int
) -> Iterator[Service]:
    """The same behind a prefix, for two names, and open to the pages of another origin."""
    running = start_service(
        sample_release,
        tmp_path_factory.mktemp("visited"),
        ROOT_PATH=PREFIX,
        TRUSTED_HOSTS="127.0.0.1, films.example",
        ALLOWED_ORIGINS=f"http://localhost:{shop_port}",
    )
    try:
        running.wait_until_ready()
        yield running
    finally:
        running.stop()


JWT_SECRET = "a secret of tests, longer than 32"
"""Of `asking_service`."""


@pytest.fixture(scope="session")
def asking_service(sample_release: SampleRelease, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """The same with authentication on."""
    home = tmp_path_factory.mktemp("asking")
    running = start_service(sample_release, home, MARQUEE_AUTH="on", JWT_SECRET=JWT_SECRET)
    try:
        running.wait_until_ready()
        yield running
    finally:
        running.stop()


@pytest.fixture(scope="session")
def admin_key(asking_service: Service) -> str:
    """An API key that opens everything there."""
    command = [sys.executable, "-m", "bento", "keys", "create", "tests", "--role", "admin"]
    environment = os.environ | {"MARQUEE_HOME": str(asking_service.home)}
    return subprocess.run(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, check=True, text=True
    ).stdout.strip()
