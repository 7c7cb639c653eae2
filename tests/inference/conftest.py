"""Servers over repositories that a test writes, and front ends over NumPy models."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from bento.inference.core.options import ServerOptions
from bento.inference.protocol.log_settings import LOGGER
from bento.inference.server import InferenceServer
from tests.inference.closing import CLOSES_WITHIN_S, close_with_nothing_left
from tests.inference.numpy_server import NumpyServer
from tests.inference.running_servers import FAST_PATH, Running, StartServer, serve_in_thread


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """An empty model repository."""
    folder = tmp_path / "models"
    folder.mkdir()
    return folder


@pytest.fixture
async def start_server(repository: Path) -> AsyncIterator[StartServer]:
    """Starts servers over the repository; they are closed at the end of the test, with nothing left in the works."""
    servers = []

    async def start(**options: Any) -> InferenceServer:
        defaults = {
            "repositories": (repository,),
            "trust_python_models": True,
            "device": "cpu",
            "fast_path": FAST_PATH,
            "shutdown_timeout_s": CLOSES_WITHIN_S,
        }
        server = await InferenceServer.start(ServerOptions(**{**defaults, **options}))
        servers.append(server)
        return server

    yield start
    await close_with_nothing_left(*servers)


@pytest.fixture(scope="session")
def numpy_models() -> Iterator[Running]:
    """Both front ends over NumPy models; shared, so tests leave it as they found it."""

    async def make() -> NumpyServer:
        return NumpyServer(fast_path=FAST_PATH)

    yield from serve_in_thread(make)


@pytest.fixture(autouse=True)
def quiet_logger() -> Iterator[None]:
    """The level that a test's settings leave behind does not reach the next test."""
    level = LOGGER.level
    yield
    LOGGER.setLevel(level)
    logging.getLogger("uvicorn").setLevel(logging.WARNING)
