"""Opening Redis as the settings say: the one at `REDIS_URL`, else the embedded one."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager

from bento.settings import Settings
from bento.stores.connection.circuit_breaker import CircuitBreaker
from bento.stores.connection.embedded_redis import EmbeddedRedis
from bento.stores.connection.redis_link import RedisLink, connect


@asynccontextmanager
async def open_redis(
    settings: Settings, on_change: Callable[[bool], None] = lambda available: None, timeout_s: float | None = None
) -> AsyncIterator[RedisLink]:
    """A link to Redis for as long as the context lasts; an embedded Redis is started with it and stopped after it.

    Nothing is sent yet: whether Redis answers shows with the first command. `on_change` is called with False when Redis
    is lost and with True when it is back. `timeout_s`: another limit per round trip than the setting's.
    """
    timeout_s = settings.redis_timeout_ms / 1_000 if timeout_s is None else timeout_s
    async with AsyncExitStack() as stack:
        url = settings.redis_url
        if url is None:
            embedded = EmbeddedRedis(settings.home)
            await embedded.open()
            stack.push_async_callback(embedded.close)
            url = embedded.url
        breaker = CircuitBreaker(settings.redis_retry_ms / 1_000)
        link = RedisLink(connect(url, timeout_s), timeout_s, breaker, on_change)
        stack.push_async_callback(link.close)
        yield link
