"""A Redis Cluster of three nodes on loopback, started by the test that needs it."""

from __future__ import annotations

import socket
import subprocess
import time
from pathlib import Path

import redis

from bento.stores.connection.embedded_redis import executable

NODES = 3
SLOTS = 16_384
START_LIMIT_S = 30


class RedisCluster:
    """Three primaries without replicas; as a context manager it gives the address."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._processes: list[subprocess.Popen[bytes]] = []
        self.ports = free_ports()

    @property
    def url(self) -> str:
        """Address for `redis_link.connect`."""
        return f"redis+cluster://127.0.0.1:{self.ports[0]}"

    def kill(self, node: int) -> None:
        """End one node at once; its slots are served by nobody."""
        self._processes[node].kill()
        self._processes[node].wait(timeout=START_LIMIT_S)

    def __enter__(self) -> str:
        try:
            self._form()
        except BaseException:  # without a context there is no exit that would stop the nodes
            self._stop()
            raise
        return self.url

    def __exit__(self, *_: object) -> None:
        self._stop()

    def _form(self) -> None:
        ports = self.ports
        for port in ports:
            self._start(port)
        clients = [redis.Redis(port=port) for port in ports]
        for client in clients:
            until(client.ping)
        for node, client in enumerate(clients):
            slots = range(node * SLOTS // NODES, (node + 1) * SLOTS // NODES)
            client.execute_command("CLUSTER ADDSLOTS", *slots)
            client.execute_command("CLUSTER MEET", "127.0.0.1", ports[0])
        for client in clients:
            until(lambda client=client: client.execute_command("CLUSTER INFO")["cluster_state"] == "ok")
            until(lambda client=client: len(client.execute_command("CLUSTER NODES")) == NODES)
            client.close()

    def _stop(self) -> None:
        for process in self._processes:
            process.terminate()
        for process in self._processes:
            process.wait(timeout=START_LIMIT_S)

    def _start(self, port: int) -> None:
        folder = self._folder / str(port)
        folder.mkdir()
        options = {"port": str(port), "bind": "127.0.0.1", "dir": str(folder), "save": "", "cluster-enabled": "yes"}
        command = [str(executable()), *(word for key, value in options.items() for word in (f"--{key}", value))]
        self._processes.append(subprocess.Popen(command, stdout=subprocess.DEVNULL))


def free_ports() -> list[int]:
    """Ports whose bus port, 10,000 higher, is free as well."""
    found: list[int] = []
    while len(found) < NODES:
        with socket.socket() as one, socket.socket() as bus:
            one.bind(("127.0.0.1", 0))
            port = one.getsockname()[1]
            try:
                bus.bind(("127.0.0.1", port + 10_000))
            except (OSError, OverflowError):
                continue
            if port not in found:
                found.append(port)
    return found


def until(happens: object) -> None:
    """Wait for something that tells nobody when it happens."""
    deadline_s = time.monotonic() + START_LIMIT_S
    while time.monotonic() < deadline_s:
        try:
            if happens():  # type: ignore[operator]
                return
        except redis.ConnectionError:
            pass
        time.sleep(0.02)
    raise TimeoutError(f"the cluster did not form in {START_LIMIT_S} s")
