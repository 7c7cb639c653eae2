"""A Redis server with options of the test's choice, which no code of the service configures."""

from __future__ import annotations

import subprocess
from pathlib import Path
from types import TracebackType

import redis

from bento.stores.connection.embedded_redis import executable
from tests.stores.redis_cluster import free_ports, until

END_LIMIT_S = 30


class RedisServer:
    """One server on loopback; as a context manager it runs."""

    def __init__(self, folder: Path, **options: str) -> None:
        """`options`: of redis.conf, with underscores instead of dashes."""
        self.port = free_ports()[0]
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self.client = redis.Redis(port=self.port)
        fixed = {"port": str(self.port), "bind": "127.0.0.1", "dir": str(folder)}
        self._options = fixed | {name.replace("_", "-"): value for name, value in options.items()}

    def limit_memory(self, policy: str, more_bytes: int) -> None:
        """Let the server have a little more memory than it uses, and do as `policy` says when that is full."""
        self.client.config_set("maxmemory-policy", policy)
        self.client.config_set("maxmemory", self.client.info("memory")["used_memory"] + more_bytes)

    def fill(self, policy: str) -> None:
        """Let the server have less memory than it uses, so that it does as `policy` says."""
        self.client.config_set("maxmemory-policy", policy)
        self.client.config_set("maxmemory", 1)

    def __enter__(self) -> RedisServer:
        command = [str(executable()), *(word for key, value in self._options.items() for word in (f"--{key}", value))]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        until(self.client.ping)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.client.close()
        self._process.kill()  # a server that writes its first append-only file does not end when it is asked to
        self._process.wait(timeout=END_LIMIT_S)
