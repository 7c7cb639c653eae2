"""The spool: a local file for events while Redis is unavailable, fsynced before an event is acknowledged, and replayed
in order afterwards.

One record per line. Records that arrive during an fsync share the next one. A line that was cut off by a crash was
never acknowledged and is skipped. During a replay new records are appended; at its end writers wait, so that the spool
becomes empty however many events arrive.
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
"""How often a replay reads newly appended records before it makes writers wait."""


class Spool:
    """The spooled events of one process. Only one process writes a file; `claim` finds one without a writer."""

    def __init__(self, path: Path, lock: int | None = None) -> None:
        """`lock`: descriptor of the lock on the file, released by `close`."""
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path = path
        self._lock = lock
        self._size_bytes = _without_cut_line(path)
        self._queue: QueueWorker[tuple[bytes, asyncio.Future[bool]]] = QueueWorker("spool", self._write)
        self._replaying = asyncio.Lock()

    @classmethod
    def claim(cls, folder: Path) -> Spool:
        """The first file of a folder that no running process writes, with the records of ended processes appended.

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
            if path.exists():  # of an ended process, whose slot is not in use
                _without_cut_line(path)
                mine._append(path.read_bytes())
                path.unlink()
            os.close(lock)
        if mine is None:
            raise OSError(f"{folder}: {SLOTS} processes use this folder already")
        return mine

    def close(self) -> None:
        """Release the file for other processes."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    @property
    def is_empty(self) -> bool:
        """There are no events to replay."""
        return self._size_bytes == 0 and not len(self._queue)

    @property
    def size_bytes(self) -> int:
        """Size of the events on disk."""
        return self._size_bytes

    async def add(self, record: bytes) -> bool:
        """Write a record; it is on disk when this returns True. False: a replay has just emptied the spool, and the
        caller can store the record where the others are now.

        Raises: OSError when it cannot be written.
        """
        written: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._queue.put((record, written))
        return await written

    async def replay(self, apply: Callable[[bytes], Awaitable[None]]) -> int:
        """Pass every record to `apply`, oldest first, and delete it; returns how many. Then the spool is empty.

        An error of `apply` ends the replay and is raised; the remaining records stay.
        """
        taken = offset = 0

        async def take() -> bool:
            """Whether there were records."""
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
                        self._replace(b"")
                        self._send_writers_back()
                    offset = 0
            finally:
                if offset:
                    async with self._queue.paused():
                        await asyncio.to_thread(self._delete_first, offset)
        return taken

    def _send_writers_back(self) -> None:
        """Return False to the writers that wait: the spool is empty."""
        for _, written in self._queue.take_all():
            if not written.done():
                written.set_result(False)

    async def remove(self, matches: Callable[[bytes], bool]) -> int:
        """Delete the records that match; returns how many."""
        async with self._replaying, self._queue.paused():
            lines = (await asyncio.to_thread(self._read)).splitlines(keepends=True)
            rest = [line for line in lines if not matches(line.rstrip(b"\n"))]
            if len(rest) < len(lines):
                await asyncio.to_thread(self._replace, b"".join(rest))
        return len(lines) - len(rest)

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
            os.ftruncate(descriptor, self._size_bytes)  # none of it is acknowledged, so none of it may be replayed
            raise
        finally:
            os.close(descriptor)
        self._size_bytes += len(lines)

    def _read(self) -> bytes:
        return self._path.read_bytes() if self._path.exists() else b""

    def _lines_from(self, offset: int) -> list[bytes]:
        """The lines behind an offset, without those being written, which may still be truncated."""
        return self._read()[offset : self._size_bytes].splitlines(keepends=True)

    def _delete_first(self, n_bytes: int) -> None:
        if n_bytes:
            self._replace(self._read()[n_bytes:])

    def _replace(self, rest: bytes) -> None:
        """Replace the content of the file."""
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
    """Remove a last line that was cut off by a crash, and never acknowledged. Returns the size left in bytes."""
    if not path.exists():
        return 0
    content = path.read_bytes()
    whole = content.rfind(b"\n") + 1
    if whole < len(content):
        log.warning("%s: a record that was cut off and never acknowledged is dropped", path)
        os.truncate(path, whole)
    return whole


def _try_lock(path: Path) -> int | None:
    """An exclusive lock that ends with the process; None when another process holds it."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor
