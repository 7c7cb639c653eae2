"""`python -m bento.inference` as a process of its own, on free ports of the loopback interface."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

LOOPBACK = [f"--{name}-address=127.0.0.1" for name in ("http", "grpc", "metrics")]
FREE_PORTS = [f"--{name}-port=0" for name in ("http", "grpc", "metrics")]


class Started:
    """A server process, and what it has written so far."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.text = ""
        self._ended = False
        self._grown = threading.Condition()
        assert process.stderr is not None
        self._reader = threading.Thread(target=self._read, args=(process.stderr,), daemon=True)
        self._reader.start()

    def _read(self, stream: IO[str]) -> None:
        for line in stream:
            with self._grown:
                self.text += line
                self._grown.notify_all()
        with self._grown:
            self._ended = True
            self._grown.notify_all()

    def wait_for(self, pattern: str) -> re.Match[str]:
        """The first match in what it writes. Raises AssertionError with all of it when there is none."""
        with self._grown:
            self._grown.wait_for(lambda: self._ended or re.search(pattern, self.text), timeout=60)
        found = re.search(pattern, self.text)
        assert found, self.text
        return found

    def port(self, service: str) -> int:
        return int(self.wait_for(rf"Started {service} at 127.0.0.1:(\d+)")[1])

    @property
    def http(self) -> str:
        return f"127.0.0.1:{self.port('HTTPService')}"

    @property
    def grpc(self) -> str:
        return f"127.0.0.1:{self.port('GRPCInferenceService')}"

    @property
    def metrics(self) -> str:
        return f"127.0.0.1:{self.port('Metrics Service')}"

    def kill(self) -> None:
        """End it at once, unless it ended before, and read the rest of what it wrote."""
        self.process.kill()
        self._reader.join()

    def end(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(30)


@contextmanager
def started(*flags: str) -> Iterator[Started]:
    """A server with those flags, killed at the end unless it ended before."""
    command = [sys.executable, "-m", "bento.inference", *LOOPBACK, *FREE_PORTS, "--drain-secs=0", *flags]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        server = Started(process)
        try:
            yield server
        finally:
            server.kill()  # read to its end before the pipe is closed


def failed(*flags: str) -> tuple[int, str]:
    """Exit status and messages of a server that does not start."""
    command = [sys.executable, "-m", "bento.inference", *LOOPBACK, *FREE_PORTS, *flags]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    return done.returncode, done.stderr
