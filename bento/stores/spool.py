"""Where events wait while Redis is away: a local file, fsynced before anything is acknowledged, replayed in order.

One record per line. Records that came while one fsync ran share the next. A line that was cut off by a crash was
never acknowledged and is skipped. While old records are replayed new ones are written behind them, and the replay ends
with nobody writing, so that the spool is empty then however many keep coming.
"""

from __future__ import annotations

import asyncio
import errno
import fcntl
import logging
import os
from collections.abc import Awaitable, Callable
from pathlib import Path

from bento.background import QueueWorker

log = logging.getLogger("marquee.events")


SLOTS = 256
"""Processes that may share a folder."""


OPEN_PASSES = 3
"""Times that a replay looks for what was written behind it, before it makes writers wait for its end."""


class Spool:
    """A process's waiting events. Only one process writes a file; `claim` finds one that nobody else writes."""

    def __init__(self, path: Path, lock: int | None = None) -> None:
        """`lock`: descriptor of the lock that makes the file ours, let go by `close`."""
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path = path
        self._lock = lock
        self._size_bytes = _without_cut_line(path)
        self._queue: QueueWorker[tuple[bytes, asyncio.Future[bool]]] = QueueWorker("spool", self._write)
        self._replaying = asyncio.Lock()

    @classmethod
    def claim(cls, folder: Path) -> Spool:
        """The first file of a folder that no running process writes, with what is left in files of ended ones.

        Raises: OSError when the folder cannot be written or all slots are taken.
        """
        folder.mkdir(parents=True, exist_ok=True)
        mine: Spool | None = None
        for slot in range(SLOTS):
            path = folder / f"events-{slot}.jsonl"
            if mine is not None and not path.exists():
                continue
            lock = _try_lock(path.with_suffix(".lock"))
            if lock is None:
                continue
            if mine is None:
                mine = cls(path, lock)
                continue
            if path.exists():  # of a process that ended and whose slot nobody took
                _without_cut_line(path)
                mine._append(path.read_bytes())
                path.unlink()
            os.close(lock)
        if mine is None:
            raise OSError(f"{folder}: {SLOTS} processes use this folder already")
        return mine

    def close(self) -> None:
        """Let somebody else have the file."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    @property
    def is_empty(self) -> bool:
        """Nothing waits to be replayed."""
        return self._size_bytes == 0 and not len(self._queue)

    @property
    def size_bytes(self) -> int:
        """What waits on disk."""
        return self._size_bytes

    async def add(self, record: bytes) -> bool:
        """Keep a record; it is on disk when this returns True. False: a replay has just ended, nothing waits any more,
        and whoever holds the record may give it to where the others went.

        Raises: OSError when it cannot be written; then it was not acknowledged either.
        """
        written: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._queue.put((record, written))
        return await written

    async def replay(self, apply: Callable[[bytes], Awaitable[None]]) -> int:
        """Give every record to `apply`, oldest first, and forget those it took; how many. Then the spool is empty.

        An error of `apply` ends the replay and is raised; what was not taken stays.
        """
        taken = offset = 0

        async def take() -> bool:
            """Whether there was anything."""
            nonlocal taken, offset
            lines = await asyncio.to_thread(self._lines_from, offset)
            for line in lines:
                await apply(line[:-1])
                taken, offset = taken + 1, offset + len(line)
            return bool(lines)

        async with self._replaying:
            try:
                for _ in range(OPEN_PASSES):
                    if not await take():
                        break
                async with self._queue.paused():
                    await take()
                    if taken:
                        self._keep(b"")
                        self._let_waiting_go()
                    offset = 0
            finally:
                if offset:
                    async with self._queue.paused():
                        await asyncio.to_thread(self._forget_first, offset)
        return taken

    def _let_waiting_go(self) -> None:
        """Tell who waits to write that there is nothing to queue behind."""
        for _, written in self._queue.take_all():
            if not written.done():
                written.set_result(False)

    async def remove(self, matches: Callable[[bytes], bool]) -> int:
        """Forget the records that match; how many there were."""
        async with self._replaying, self._queue.paused():
            lines = (await asyncio.to_thread(self._read)).splitlines(keepends=True)
            kept = [line for line in lines if not matches(line.rstrip(b"\n"))]
            if len(kept) < len(lines):
                await asyncio.to_thread(self._keep, b"".join(kept))
        return len(lines) - len(kept)

    async def _write(self, batch: list[tuple[bytes, asyncio.Future[bool]]]) -> None:
        lines = b"".join(record + b"\n" for record, _ in batch)
        failure: OSError | None = None
        try:
            await asyncio.to_thread(self._append, lines)
        except OSError as error:
            failure = error
        for _, written in batch:
            if written.done():  # the caller has left
                continue
            if failure is None:
                written.set_result(True)
            else:
                written.set_exception(failure)

    def _append(self, lines: bytes) -> None:
        if not lines:
            return
        descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            written = os.write(descriptor, lines)
            if written != len(lines):
                raise OSError(errno.ENOSPC, f"{written} of {len(lines)} bytes written", str(self._path))
            os.fsync(descriptor)
        except OSError:
            os.ftruncate(descriptor, self._size_bytes)  # nothing of it is acknowledged, so nothing of it may come back
            raise
        finally:
            os.close(descriptor)
        self._size_bytes += len(lines)

    def _read(self) -> bytes:
        return self._path.read_bytes() if self._path.exists() else b""

    def _lines_from(self, offset: int) -> list[bytes]:
        """The lines behind an offset, without what is just being written: that may still be taken back."""
        return self._read()[offset : self._size_bytes].splitlines(keepends=True)

    def _forget_first(self, n_bytes: int) -> None:
        if n_bytes:
            self._keep(self._read()[n_bytes:])

    def _keep(self, rest: bytes) -> None:
        """Replace the file by what is left of it."""
        if not rest:
            self._path.unlink(missing_ok=True)
        elif len(rest) != self._size_bytes:
            replacement = self._path.with_suffix(".rest")
            with replacement.open("wb") as file:
                file.write(rest)
                file.flush()
                os.fsync(file.fileno())
            replacement.replace(self._path)
        self._size_bytes = len(rest)


def _without_cut_line(path: Path) -> int:
    """Take the line off that a crash cut off: it was never acknowledged. The size that is left, in bytes."""
    if not path.exists():
        return 0
    content = path.read_bytes()
    whole = content.rfind(b"\n") + 1
    if whole < len(content):
        log.warning("%s: a record that was cut off and never acknowledged is dropped", path)
        os.truncate(path, whole)
    return whole


def _try_lock(path: Path) -> int | None:
    """An exclusive lock that ends with the process, or None when another one holds it."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor
