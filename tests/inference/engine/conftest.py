"""Servers over repositories that a test writes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from bento.inference.options import ServerOptions
from bento.inference.server import InferenceServer

StartServer = Callable[..., Awaitable[InferenceServer]]


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """An empty model repository."""
    folder = tmp_path / "models"
    folder.mkdir()
    return folder


@pytest.fixture
async def start_server(repository: Path) -> AsyncIterator[StartServer]:
    """Starts servers over the repository; they are closed at the end of the test."""
    servers = []

    async def start(**options: Any) -> InferenceServer:
        defaults = {"repositories": (repository,), "trust_python_models": True, "device": "cpu"}
        server = await InferenceServer.start(ServerOptions(**{**defaults, **options}))
        servers.append(server)
        return server

    yield start
    for server in servers:
        await server.close()
