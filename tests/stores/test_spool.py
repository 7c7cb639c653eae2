"""The spool: what was acknowledged is on disk, and comes back in order, once."""

from __future__ import annotations

import asyncio
import errno
import os
from pathlib import Path

import pytest

from bento.stores.errors import StoreUnavailable
from bento.stores.spool import Spool


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "spool" / "events.jsonl"


class Taker:
    """Takes records until it has `room` no more."""

    def __init__(self, room: int = 1_000) -> None:
        self.taken: list[bytes] = []
        self.room = room

    async def __call__(self, record: bytes) -> None:
        if len(self.taken) == self.room:
            raise StoreUnavailable("gone")
        self.taken.append(record)


async def test_records_come_back_in_order_and_once(path: Path) -> None:
    spool, taker = Spool(path), Taker()
    for n in range(5):
        await spool.add(b"%d" % n)
    assert not spool.is_empty
    assert await spool.replay(taker) == 5
    assert taker.taken == [b"0", b"1", b"2", b"3", b"4"]
    assert spool.is_empty
    assert await spool.replay(taker) == 0


async def test_a_record_is_synced_before_add_returns(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced = []
    fsync = os.fsync

    def watched(descriptor: int) -> None:
        synced.append(path.read_bytes())
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", watched)
    await Spool(path).add(b"one")
    assert synced == [b"one\n"]


async def test_records_that_come_together_share_a_sync(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    syncs = []
    fsync = os.fsync
    monkeypatch.setattr(os, "fsync", lambda descriptor: (syncs.append(1), fsync(descriptor)))
    spool = Spool(path)
    await asyncio.gather(*(spool.add(b"%d" % n) for n in range(100)))
    assert len(syncs) == 1
    assert path.read_bytes().split() == [b"%d" % n for n in range(100)]


async def test_what_a_crash_left_is_replayed_by_the_next_process(path: Path) -> None:
    await Spool(path).add(b"one")
    taker = Taker()
    next_process = Spool(path)
    assert not next_process.is_empty
    await next_process.replay(taker)
    assert taker.taken == [b"one"]


async def test_a_line_that_a_crash_cut_off_is_skipped(path: Path) -> None:
    await Spool(path).add(b"one")
    with path.open("ab") as file:
        file.write(b"tw")
    spool, taker = Spool(path), Taker()
    await spool.add(b"three")
    await spool.replay(taker)
    assert taker.taken == [b"one", b"three"]
    assert spool.is_empty


async def test_what_could_not_be_replayed_stays(path: Path) -> None:
    spool = Spool(path)
    for n in range(5):
        await spool.add(b"%d" % n)
    with pytest.raises(StoreUnavailable):
        await spool.replay(Taker(room=2))
    taker = Taker()
    await spool.replay(taker)
    assert taker.taken == [b"2", b"3", b"4"]


async def test_what_comes_during_a_replay_is_written_at_once_and_replayed_with_it(path: Path) -> None:
    spool, taker = Spool(path), Taker()
    await spool.add(b"old")
    kept: list[bool] = []

    async def apply(record: bytes) -> None:
        if record == b"old":
            kept.append(await spool.add(b"new"))  # it does not wait for the end of the replay
        await taker(record)

    assert await spool.replay(apply) == 2
    assert (taker.taken, kept, spool.is_empty) == ([b"old", b"new"], [True], True)


async def test_a_replay_ends_with_an_empty_spool_however_many_keep_coming(path: Path) -> None:
    """Each record brings another. In the end writers wait, and are told that nothing waits any more."""
    spool, taker = Spool(path), Taker()
    await spool.add(b"0")
    adding: list[asyncio.Task[bool]] = []

    async def apply(record: bytes) -> None:
        adding.append(asyncio.create_task(spool.add(b"%d" % (len(adding) + 1))))
        await asyncio.wait(adding[-1:], timeout=0.05)  # written, unless the replay makes it wait
        await taker(record)

    async with asyncio.timeout(10):
        taken = await spool.replay(apply)
    kept = await asyncio.gather(*adding)
    assert spool.is_empty
    assert (kept[:-1], kept[-1]) == ([True] * (taken - 1), False)
    assert taker.taken == [b"%d" % n for n in range(taken)]


async def test_what_comes_during_a_replay_that_fails_stays_behind_the_rest(path: Path) -> None:
    spool, taker = Spool(path), Taker()
    for record in (b"1", b"2"):
        await spool.add(record)

    async def apply(record: bytes) -> None:
        if record == b"2":
            await spool.add(b"3")
            raise StoreUnavailable("gone")
        await taker(record)

    with pytest.raises(StoreUnavailable):
        await spool.replay(apply)
    await spool.replay(taker)
    assert taker.taken == [b"1", b"2", b"3"]


async def test_records_that_match_are_removed(path: Path) -> None:
    spool, taker = Spool(path), Taker()
    for record in (b"ann 1", b"bob 1", b"ann 2"):
        await spool.add(record)
    assert await spool.remove(lambda record: record.startswith(b"ann")) == 2
    await spool.replay(taker)
    assert taker.taken == [b"bob 1"]
    assert await spool.remove(lambda record: True) == 0


async def test_a_disk_that_refuses_is_an_error_not_an_acknowledgement(path: Path) -> None:
    spool = Spool(path)
    path.mkdir()
    with pytest.raises(OSError, match="Is a directory"):
        await spool.add(b"one")


async def test_what_a_disk_did_not_take_whole_is_taken_back(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spool, fsync, taker = Spool(path), os.fsync, Taker()
    await spool.add(b"one")

    def broken(_: int) -> None:
        raise OSError(errno.EIO, "input/output error")

    monkeypatch.setattr(os, "fsync", broken)
    with pytest.raises(OSError, match="input/output error"):
        await spool.add(b"two")
    monkeypatch.setattr(os, "fsync", fsync)
    await spool.add(b"three")
    assert path.read_bytes() == b"one\nthree\n"
    await spool.replay(taker)
    assert taker.taken == [b"one", b"three"]


async def test_what_is_not_synced_yet_is_not_replayed(path: Path) -> None:
    spool, taker = Spool(path), Taker()
    await spool.add(b"one")
    with path.open("ab") as file:  # as another thread's write leaves it before its sync
        file.write(b"two\n")
    await spool.replay(taker)
    assert taker.taken == [b"one"]


async def test_two_processes_of_one_home_write_different_files(tmp_path: Path) -> None:
    first, second = Spool.claim(tmp_path), Spool.claim(tmp_path)
    await first.add(b"one")
    await second.add(b"two")
    taker = Taker()
    await first.replay(taker)
    assert taker.taken == [b"one"]
    first.close()
    second.close()


async def test_what_ended_processes_left_is_taken_over(tmp_path: Path) -> None:
    ended = [Spool.claim(tmp_path) for _ in range(3)]
    for n, spool in enumerate(ended):
        await spool.add(b"%d" % n)
    running = ended.pop(1)
    for spool in ended:
        spool.close()
    next_one, taker = Spool.claim(tmp_path), Taker()
    await next_one.replay(taker)
    assert taker.taken == [b"0", b"2"]
    assert not running.is_empty
    running.close()
    next_one.close()


async def test_a_line_cut_off_in_a_file_that_is_taken_over_spoils_no_other(tmp_path: Path) -> None:
    first, second = Spool.claim(tmp_path), Spool.claim(tmp_path)
    await first.add(b"one")
    await second.add(b"two")
    first.close()
    second.close()
    with (tmp_path / "events-0.jsonl").open("ab") as file:
        file.write(b"cut o")
    next_one, taker = Spool.claim(tmp_path), Taker()
    await next_one.replay(taker)
    assert taker.taken == [b"one", b"two"]
    next_one.close()
