"""Work that is done again and again: a round that fails is told, and is not the last."""

from __future__ import annotations

import asyncio
import logging

import pytest

from bento.background import Repeated


async def test_a_round_that_fails_is_not_the_last(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="marquee")
    results = iter([None, OSError("the disk is full"), OSError("the disk is full"), None])
    done = asyncio.Event()

    async def work() -> None:
        try:
            result = next(results)
        except StopIteration:
            done.set()
            return
        if result is not None:
            raise result

    repeated = Repeated("spool-replay", work, every_s=0)
    async with asyncio.timeout(10):
        await done.wait()
    await repeated.close()
    assert [record.getMessage() for record in caplog.records] == [
        "spool-replay failed, and is tried again every 0 s",
        "spool-replay goes on",
    ]
    assert "the disk is full" in caplog.text


async def test_it_can_be_stopped_in_the_middle_of_a_round() -> None:
    begun, ended = asyncio.Event(), asyncio.Event()

    async def work() -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    repeated = Repeated("endless", work, every_s=0)
    await begun.wait()
    await repeated.close()
    assert ended.is_set()
