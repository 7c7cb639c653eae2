"""The link to Redis: commands of all requests are sent together, and a failed Redis costs one timeout a second.

Commands of the same turn of the event loop, or given while a round trip is under way, are sent as one pipeline. So a
request that reads a person and a cached answer makes one round trip, and simultaneous requests share it. With only one
round trip at a time, a Redis that hangs makes all callers wait once, together; after that none waits: a probe in the
background checks once a second whether it is back.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Callable
from typing import Any

from redis.asyncio import Redis
from redis.asyncio.cluster import ClusterNode, RedisCluster
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import (
    NoPermissionError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisClusterException,
    RedisError,
    ResponseError,
)

from bento.background import DetachedTasks, QueueWorker
from bento.stores.connection.circuit_breaker import CircuitBreaker
from bento.stores.errors import StoreUnavailable

log = logging.getLogger("marquee.redis")

PROBE_INTERVAL_S = 0.05
"""How often the probe asks the breaker whether it may try; the breaker decides how often it does."""

BATCH_LIMIT = 256
"""Commands of one pipeline: about a millisecond of Redis' time."""

WRITE_REFUSED = re.compile(r"\b(OOM|MISCONF|READONLY|NOREPLICAS)\b")
"""Codes that tell a refused write in the text of an error: full, failed to save, a replica, too few replicas. Scripts
carry them inside a message of their own."""

TRY_WRITING = "return redis.call('SET', KEYS[1], '', 'PX', ARGV[1])"
"""KEYS: a key that nobody reads. ARGV: milliseconds until it is gone. A script, as most writes are."""

TRIED_KEY_MS = 1_000

KEYS_TRIED = 10_000
"""Keys that are hashed to find one for each node: milliseconds, in clusters of any size."""

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
        self._refused_write: str | None = None

    @property
    def refused_write(self) -> str | None:
        """Why Redis, which answers, refused a write; None once `try_writing` finds that it takes them."""
        return self._refused_write

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

    async def ask_primaries(self, *command: Any) -> dict[str, Any]:
        """The answer of each primary to a command without keys, by host and port; a single server's name is "".

        None for a primary that refuses the command, and in a cluster for one that does not answer.
        Raises: StoreUnavailable when Redis does not answer.
        """
        client = self._client
        if isinstance(client, Redis):
            try:
                return {"": await self.run(*command)}
            except StoreUnavailable:
                if self._breaker.is_open:
                    raise
                return {"": None}
        if self._breaker.is_open:
            raise StoreUnavailable(self._breaker.reason)
        nodes = await self._primaries(client)
        answers = await asyncio.gather(*(self._ask_node(node, command) for node in nodes))
        return dict(zip((node.name for node in nodes), answers, strict=True))

    async def try_writing(self) -> None:
        """Write a key that nobody reads to every primary; where each takes it, `refused_write` is None again."""
        keys = ["marquee:write-check"]
        try:
            if isinstance(self._client, RedisCluster):
                keys = _key_of_each_node(self._client, await self._primaries(self._client))
            await asyncio.gather(*(self.run("EVAL", TRY_WRITING, 1, key, TRIED_KEY_MS) for key in keys))
        except StoreUnavailable as error:
            log.debug("redis still refuses writes: %s", error)
        else:
            self._refused_write = None

    async def _primaries(self, client: RedisCluster) -> list[ClusterNode]:
        """Raises: StoreUnavailable when no node says who they are."""
        try:
            async with asyncio.timeout(self._timeout_s):
                await client.initialize()
        except (RedisError, RedisClusterException, OSError, TimeoutError) as error:
            raise StoreUnavailable(f"{type(error).__name__}: {error}") from error
        return client.get_primaries()

    async def _ask_node(self, node: ClusterNode, command: Command) -> Any:
        try:
            async with asyncio.timeout(self._timeout_s):
                return await node.execute_command(*command)
        except (RedisError, OSError, TimeoutError) as error:
            log.debug("%s does not say %s: %s", node.name, command[0], error)
            return None

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
        for (command, future), answer in zip(batch, answers, strict=True):
            if _is_refused_write(command, answer):
                self._refused_write = str(answer)
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


def _is_refused_write(command: Command, answer: object) -> bool:
    if isinstance(answer, OutOfMemoryError | ReadOnlyError):
        return True
    if isinstance(answer, NoPermissionError):
        return command[0] not in ("INFO", "CONFIG GET")
    return isinstance(answer, ResponseError) and WRITE_REFUSED.search(str(answer)) is not None


def _key_of_each_node(client: RedisCluster, nodes: list[ClusterNode]) -> list[str]:
    """A key per node; none of a node with so few slots that no key tried falls into them.

    Raises: StoreUnavailable when a slot belongs to no node.
    """
    keys: dict[str, str] = {}
    for number in range(KEYS_TRIED):
        if len(keys) == len(nodes):
            break
        key = f"marquee:write-check:{number}"
        try:
            node = client.get_node_from_key(key)
        except RedisClusterException as error:
            raise StoreUnavailable(str(error)) from error
        assert node is not None, "only a replica's key may have no node"
        keys.setdefault(node.name, key)
    return list(keys.values())
