"""The link to Redis: commands of all requests are sent together, and a failed Redis costs one timeout a second.

Commands of the same turn of the event loop, or given while a round trip is under way, are sent as one pipeline. So a
request that reads a person and a cached answer makes one round trip, and simultaneous requests share it. With only one
round trip at a time, a Redis that hangs makes all callers wait once, together; after that none waits: a probe in the
background checks once a second whether it is back.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

from redis.asyncio import Redis
from redis.asyncio.cluster import RedisCluster
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ReadOnlyError, RedisClusterException, RedisError

from bento.background import DetachedTasks, QueueWorker
from bento.stores.connection.circuit_breaker import CircuitBreaker
from bento.stores.errors import StoreUnavailable

log = logging.getLogger("marquee.redis")

PROBE_INTERVAL_S = 0.05
"""How often the probe asks the breaker whether it may try; the breaker decides how often it does."""

BATCH_LIMIT = 256
"""Commands of one pipeline: about a millisecond of Redis' time."""

Command = tuple[Any, ...]


def connect(url: str, timeout_s: float) -> Redis | RedisCluster:
    """A client for `redis://`, `rediss://`, `unix://` or, for a cluster, `redis+cluster://`.

    It connects on first use and never retries by itself: the breaker decides about that.
    """
    options: dict[str, Any] = {"socket_timeout": timeout_s, "socket_connect_timeout": timeout_s, "protocol": 2}
    scheme, _, rest = url.partition("://")
    if scheme.endswith("+cluster"):
        cluster_url = f"{scheme.removesuffix('+cluster')}://{rest}"
        return RedisCluster.from_url(cluster_url, **options, retry=Retry(NoBackoff(), 1))  # follows moved slots
    return Redis.from_url(url, **options, retry=Retry(NoBackoff(), 0))


class RedisLink:
    """Joins commands into pipelines and keeps the circuit breaker."""

    def __init__(
        self,
        client: Redis | RedisCluster,
        timeout_s: float,
        breaker: CircuitBreaker,
        on_change: Callable[[bool], None] = lambda available: None,
    ) -> None:
        """`on_change` is called when Redis is lost (False) and when it is back (True)."""
        self._client = client
        self._timeout_s = timeout_s
        self._breaker = breaker
        self._on_change = on_change
        self._queue: QueueWorker[tuple[Command, asyncio.Future[Any]]] = QueueWorker(
            "redis-link", self._send, BATCH_LIMIT
        )
        self._probing = DetachedTasks()

    @property
    def is_cluster(self) -> bool:
        """A script may touch keys of one slot only."""
        return isinstance(self._client, RedisCluster)

    @property
    def is_available(self) -> bool:
        """Redis answered the last command."""
        return not self._breaker.is_open

    async def run(self, *command: Any) -> Any:
        """Send one command; its answer as the client library gives it.

        Raises: StoreUnavailable when Redis refuses the command, or is dead or hangs and has not come back since.
        """
        if self._breaker.is_open:
            raise StoreUnavailable(self._breaker.reason)
        return await self._send_queued(command)

    async def _send_queued(self, command: Command) -> Any:
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._queue.put((command, answer))
        return await answer

    async def close(self) -> None:
        """Finish the commands under way, then close the connections."""
        await self._probing.cancel()
        await self._queue.close()
        await self._client.aclose()

    async def _send(self, batch: list[tuple[Command, asyncio.Future[Any]]]) -> None:
        try:
            async with asyncio.timeout(self._timeout_s):
                pipeline = self._client.pipeline(transaction=False)
                for command, _ in batch:
                    pipeline.execute_command(*command)
                answers = await pipeline.execute(raise_on_error=False)
        except (RedisError, RedisClusterException, OSError, TimeoutError) as error:
            self._lose(f"{type(error).__name__}: {error}".rstrip(": "), batch)
            return
        except BaseException as error:  # a bug, or the end of the program: no caller may wait for ever
            for _, future in batch:
                if not future.done():
                    future.set_exception(StoreUnavailable(repr(error)))
            raise
        if self._breaker.succeed():
            log.info("redis is back")
            self._on_change(True)
        for (_, future), answer in zip(batch, answers, strict=True):
            if future.done():  # the caller was cancelled
                continue
            if isinstance(answer, Exception):
                future.set_exception(StoreUnavailable(str(answer)))
            else:
                future.set_result(answer)
        if any(isinstance(answer, ReadOnlyError) for answer in answers):
            await self._leave_replica()

    async def _leave_replica(self) -> None:
        """Reconnect: after a failover the address leads to the new primary, but old connections do not."""
        if isinstance(self._client, Redis):  # a cluster's client asks the cluster for its primary
            log.debug("redis is a replica, reconnecting")  # once per refused write; the callers log what it means
            try:
                await self._client.connection_pool.disconnect()
            except (RedisError, OSError) as error:  # the connection is dropped all the same
                log.debug("a connection to a replica did not end well: %s", error)

    def _lose(self, reason: str, batch: list[tuple[Command, asyncio.Future[Any]]]) -> None:
        """Fail the commands of the batch and those queued behind it, which have waited long enough."""
        if self._breaker.fail(reason):
            log.warning("redis is not available, going on without it: %s", reason)
            self._on_change(False)
            self._probing.start(self._probe_until_back(), "redis-probe")
        for _, future in batch + self._queue.take_all():
            if not future.done():
                future.set_exception(StoreUnavailable(reason))

    async def _probe_until_back(self) -> None:
        while self._breaker.is_open:
            await asyncio.sleep(PROBE_INTERVAL_S)
            if self._breaker.allows():
                try:
                    await self._send_queued(("PING",))
                except StoreUnavailable as error:
                    log.debug("redis is still unavailable: %s", error)
