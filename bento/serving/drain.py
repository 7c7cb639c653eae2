"""How a worker goes away at SIGTERM: not ready at once, requests answered on for `DRAIN_S`, those in flight finished.

uvicorn's own handler would stop accepting at once, while the supervisor holds the listening socket open: connections
would be made that nobody answers. So it is called only when the drain is over.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
from collections.abc import Callable
from typing import Any

import click

from bento.end_signals import END_SIGNALS
from bento.serving.worker import Worker

log = logging.getLogger("marquee")

END_WITHIN_S = 28.0
"""Seconds from the signal after which requests still in flight are given up: Kubernetes and Docker kill after 30."""

HURRIED_CLOSE_S = 1.0
"""Seconds for stores to be closed, and the embedded Redis to be stopped, once nothing else is waited for."""


class Drain:
    """The drain of one worker: made when it has started, begun by a signal."""

    def __init__(self, worker: Worker, drain_s: float, stop_accepting: Callable[[], None]) -> None:
        """`stop_accepting`: has the HTTP server close its listening socket, finish what is in flight, and end."""
        self._worker = worker
        self._drain_s = drain_s
        self._stop_accepting = stop_accepting
        self._supervisor = os.getppid()
        self._hurry = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def signalled(self) -> None:
        """Begin; end at once where the supervisor is gone. Others repeat what a supervisor passes on: no second signal.

        A second signal ends the supervisor, and the kernel tells its worker.
        """
        if os.getppid() != self._supervisor:
            self._hurry.set()
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name="drain")

    async def _run(self) -> None:
        self._worker.begin_drain()
        log.info("draining: not ready, requests are answered for %g s more", self._drain_s)
        if not await self._hurried_within(self._drain_s):
            self._stop_accepting()
            left_s = END_WITHIN_S - self._drain_s
            stopping = asyncio.create_task(self._worker.stop_grpc(left_s), name="grpc-stop")
            if not await self._hurried_within(left_s):
                log.error("requests are still in progress %g s after the signal, ending without them", END_WITHIN_S)
            stopping.cancel()
        await self._end_now()

    async def _hurried_within(self, seconds: float) -> bool:
        try:
            await asyncio.wait_for(self._hurry.wait(), seconds)
        except TimeoutError:
            return False
        return True

    async def _end_now(self) -> None:
        """Close what the worker holds, and end without the HTTP server, which would wait for its requests."""
        await self._worker.stop_grpc(0)
        try:
            async with asyncio.timeout(HURRIED_CLOSE_S):  # what waits for requests is cut off, the rest still closes
                await self._worker.close()
        except TimeoutError:
            log.warning("requests in flight are given up")
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.raise_signal(signal.SIGTERM)


def drain_at_signals(worker: Worker, drain_s: float) -> None:
    """Put a drain before uvicorn's own handling of SIGINT and SIGTERM, in the main thread and on the worker's loop."""
    uvicorns: Any = signal.getsignal(signal.SIGTERM)

    def stop_accepting() -> None:
        refuse_connections()
        uvicorns(signal.SIGTERM, None)

    drain = Drain(worker, drain_s, stop_accepting)
    for number in END_SIGNALS:
        asyncio.get_running_loop().add_signal_handler(number, drain.signalled)


def refuse_connections() -> None:
    """Have the kernel refuse connections from now on, though the supervisor holds the listening socket open as well.

    Otherwise they would wait for a worker that never comes. A worker that is started again listens again.
    """
    context = click.get_current_context(silent=True)  # BentoML's worker command
    descriptor = context.params.get("fd") if context else None
    if descriptor is not None:
        with socket.socket(fileno=os.dup(descriptor)) as listener:
            listener.shutdown(socket.SHUT_RDWR)
