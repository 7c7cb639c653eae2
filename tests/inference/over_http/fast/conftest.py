"""Servers of the fast path's own tests: they take it whatever the rest of the run does."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.inference.numpy_server import NumpyServer
from tests.inference.running_servers import Running, serve_in_thread


@pytest.fixture(scope="package")
def numpy_models() -> Iterator[Running]:
    """Both front ends over NumPy models; shared, so tests leave it as they found it."""

    async def make() -> NumpyServer:
        return NumpyServer()

    yield from serve_in_thread(make)
