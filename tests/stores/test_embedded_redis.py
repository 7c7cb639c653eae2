"""The Redis that comes along: started, joined, stopped, killed and started again."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from bento.stores.connection import embedded_redis
from bento.stores.connection.embedded_redis import EmbeddedRedis, answers, listens, socket_path
from bento.stores.connection.redis_link import connect

ROOT = Path(__file__).resolve().parents[2]

pytestmark = pytest.mark.redis


@pytest.fixture(autouse=True)
def watch_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded_redis, "WATCH_INTERVAL_S", 0.02)


def is_running(pid: int | None) -> bool:
    assert pid is not None
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"


def connected(path: Path) -> socket.socket:
    """A connection that speaks Redis' own protocol."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.settimeout(10)
    connection.connect(str(path))
    return connection


OPEN_AND_WAIT = """
import asyncio, sys
from pathlib import Path
from bento.stores.connection.embedded_redis import EmbeddedRedis

async def main():
    await EmbeddedRedis(Path(sys.argv[1])).open()
    print("open", flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


async def until_answering(redis: EmbeddedRedis) -> None:
    async with asyncio.timeout(10):
        while not answers(redis.socket_path):
            await asyncio.sleep(0.01)


async def test_it_listens_on_a_socket_that_only_its_owner_may_use(redis: EmbeddedRedis) -> None:
    assert answers(redis.socket_path)
    assert stat.S_IMODE(redis.socket_path.stat().st_mode) == 0o700
    assert redis.url == f"unix://{redis.socket_path}"


async def test_it_ends_with_its_last_user(tmp_path: Path) -> None:
    first, second = EmbeddedRedis(tmp_path), EmbeddedRedis(tmp_path)
    await first.open()
    pid = first.pid
    await second.open()
    assert second.pid == pid
    await first.close()
    assert answers(second.socket_path)
    assert is_running(pid)
    await second.close()
    assert not listens(second.socket_path)


async def test_two_users_who_start_together_share_one_server(tmp_path: Path) -> None:
    users = [EmbeddedRedis(tmp_path) for _ in range(4)]
    await asyncio.gather(*(user.open() for user in users))
    assert len({user.pid for user in users}) == 1
    await asyncio.gather(*(user.close() for user in users))
    assert not listens(users[0].socket_path)


async def test_a_killed_server_is_started_again_with_what_it_knew(redis: EmbeddedRedis) -> None:
    client = connected(redis.socket_path)
    client.sendall(b"SET film 42\r\n")
    assert client.recv(16) == b"+OK\r\n"
    killed = redis.pid
    assert killed is not None
    os.kill(killed, signal.SIGKILL)
    assert client.recv(16) == b""
    client.close()
    await until_answering(redis)
    assert redis.pid != killed
    with connected(redis.socket_path) as client:
        client.sendall(b"GET film\r\n")
        assert client.recv(32) == b"$2\r\n42\r\n"


async def test_what_it_knew_is_there_after_a_stop_and_a_start(tmp_path: Path) -> None:
    first = EmbeddedRedis(tmp_path)
    await first.open()
    with connected(first.socket_path) as client:
        client.sendall(b"SET film 42\r\n")
        assert client.recv(16) == b"+OK\r\n"
    await first.close()
    second = EmbeddedRedis(tmp_path)
    await second.open()
    with connected(second.socket_path) as client:
        client.sendall(b"GET film\r\n")
        assert client.recv(32) == b"$2\r\n42\r\n"
    await second.close()


async def test_a_hung_server_is_not_replaced(redis: EmbeddedRedis) -> None:
    pid = redis.pid
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    try:
        assert listens(redis.socket_path)
        await asyncio.sleep(0.1)  # five looks of the watcher
        assert redis.pid == pid
    finally:
        os.kill(pid, signal.SIGCONT)
    await until_answering(redis)


async def test_a_server_left_behind_is_joined(tmp_path: Path) -> None:
    command = [sys.executable, "-c", OPEN_AND_WAIT, str(tmp_path)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) as crashed:
        assert crashed.stdout is not None
        assert crashed.stdout.readline() == b"open\n"
        crashed.kill()
    next_one = EmbeddedRedis(tmp_path)
    left_behind = next_one.pid
    assert is_running(left_behind)
    await next_one.open()
    assert next_one.pid == left_behind
    await next_one.close()
    assert not listens(next_one.socket_path)


@pytest.mark.parametrize("name", ["100%20", "a#b", "a?b", "a b"])
async def test_any_folder_name_will_do(tmp_path: Path, name: str) -> None:
    redis = EmbeddedRedis(tmp_path / name)
    await redis.open()
    client = connect(redis.url, 5.0)
    assert await client.execute_command("PING")
    await client.aclose()
    await redis.close()


async def test_it_is_still_watched_after_a_start_that_failed_for_another_reason(
    redis: EmbeddedRedis, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    lock = tmp_path / "redis" / "start.lock"
    lock.unlink()
    lock.mkdir()  # cannot be opened for writing
    assert redis.pid is not None
    os.kill(redis.pid, signal.SIGKILL)
    async with asyncio.timeout(10):
        while "embedded-redis failed" not in caplog.text:
            await asyncio.sleep(0.01)
    lock.rmdir()
    await until_answering(redis)


async def test_a_server_that_cannot_start_is_logged_and_does_not_stop_the_service(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(embedded_redis, "executable", lambda: Path("/nonexistent/redis-server"))
    redis = EmbeddedRedis(tmp_path)
    await redis.open()
    assert "does not start" in caplog.text
    assert "Set REDIS_URL" in caplog.text
    await redis.close()


def test_a_long_path_gets_a_private_short_socket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded_redis.tempfile, "gettempdir", lambda: str(tmp_path))
    folder = tmp_path / ("long" * 30) / "redis"
    path = socket_path(folder)
    assert path.parent.parent == tmp_path
    assert len(path.parent.name) == len("marquee-") + len(str(os.getuid())) + 1 + 12
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert socket_path(folder) == path != socket_path(tmp_path / ("other" * 30))
