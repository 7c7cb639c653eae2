"""A real Redis per test."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bento.stores.connection.circuit_breaker import CircuitBreaker
from bento.stores.connection.embedded_redis import EmbeddedRedis
from bento.stores.connection.redis_link import RedisLink, connect

TIMEOUT_S = 5.0


@pytest.fixture
async def link(tmp_path: Path) -> AsyncIterator[RedisLink]:
    server = EmbeddedRedis(tmp_path)
    await server.open()
    link = RedisLink(connect(server.url, TIMEOUT_S), TIMEOUT_S, CircuitBreaker(retry_s=1.0))
    yield link
    await link.close()
    await server.close()
