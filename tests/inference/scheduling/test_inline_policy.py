"""Which requests run on the event loop itself, and that nobody can tell by the answers."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from bento.inference.backends.interface import Call, ExecutionTimes
from bento.inference.backends.joined import JoinedInstance
from bento.inference.core.errors import InvalidRequest
from bento.inference.core.messages import InferRequest
from bento.inference.scheduling.inline_policy import INLINE_LIMIT_NS, MAX_PER_SPAN, SPAN_NS, InlinePolicy, busy_ns
from tests.inference.gates import gate
from tests.inference.model_folders import write_add_constant, write_gated
from tests.inference.running_servers import StartServer


def test_what_was_never_seen_is_not_quick() -> None:
    assert not InlinePolicy().is_fast(1, None)


def test_each_shape_is_judged_by_itself() -> None:
    inline_policy = InlinePolicy()
    inline_policy.note(1, "small", INLINE_LIMIT_NS // 2)
    inline_policy.note(1, "large", INLINE_LIMIT_NS * 2)
    assert inline_policy.is_fast(1, "small")
    assert not inline_policy.is_fast(1, "large")
    assert not inline_policy.is_fast(2, "small")


def test_a_quick_model_may_be_slow_twice_but_not_three_times_in_a_row() -> None:
    inline_policy = InlinePolicy()
    judged = []
    for took_ns in (0, 100 * INLINE_LIMIT_NS, 100 * INLINE_LIMIT_NS, 100 * INLINE_LIMIT_NS):
        inline_policy.note(1, None, took_ns)
        judged.append(inline_policy.is_fast(1, None))
    assert judged == [True, True, True, False]  # 0, then 1/2, 7/8 and 37/32 of the limit


def test_waiting_for_a_core_does_not_make_a_model_slow_but_mostly_waiting_does() -> None:
    assert busy_ns(30_000, 400_000) == 30_000
    assert busy_ns(30_000, 1_600_000) == 100_000  # a sixteenth


@pytest.mark.parametrize("slowness", [2, 1000])
def test_a_slow_start_is_forgotten_only_slowly(slowness: int) -> None:
    inline_policy = InlinePolicy()
    inline_policy.note(1, None, INLINE_LIMIT_NS * slowness)
    faster = 0
    while not inline_policy.is_fast(1, None):
        inline_policy.note(1, None, 1000)
        faster += 1
    assert faster == 6  # the smallest n with 2 * (7/8)^n < 1


def test_the_memory_of_shapes_is_bounded() -> None:
    inline_policy = InlinePolicy()
    for shape in range(10_000):
        inline_policy.note(1, shape, 1)
    assert 0 < sum(inline_policy.is_fast(1, shape) for shape in range(10_000)) <= 256


def test_the_loop_executes_a_bounded_number_per_millisecond() -> None:
    inline_policy = InlinePolicy()
    inline_policy.note(1, None, 1)
    allowed = [inline_policy.may_run_inline(1, None, 5 * SPAN_NS + number) for number in range(MAX_PER_SPAN + 2)]
    assert allowed == [True] * MAX_PER_SPAN + [False] * 2
    assert inline_policy.may_run_inline(1, None, 6 * SPAN_NS)


@pytest.fixture
def threads(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Thread of each execution."""
    seen: list[int] = []
    execute = JoinedInstance.execute

    def noting(self: JoinedInstance, calls: Sequence[Call]) -> ExecutionTimes:
        seen.append(threading.get_ident())
        return execute(self, calls)

    monkeypatch.setattr(JoinedInstance, "execute", noting)
    return seen


async def test_a_quick_model_runs_on_the_loop_once_it_is_known(
    repository: Path, start_server: StartServer, threads: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "bento.inference.scheduling.inline_policy.INLINE_LIMIT_NS", 10**9
    )  # whatever this machine is busy with
    write_add_constant(repository, "plus", 1.0)
    server = await start_server()
    for value in range(5):
        response = await server.infer(InferRequest("plus", {"X": np.full((1, 1), value, np.float32)}, id="a"))
        assert response.outputs["Y"].tolist() == [[value + 1]]
        assert response.timing.compute_infer_ns > 0
        await asyncio.sleep(0)
    assert threads[0] != threading.get_ident()
    assert threads[1:] == [threading.get_ident()] * 4
    (statistics,) = server.model_statistics("plus")
    assert (statistics["inference_count"], statistics["execution_count"]) == (5, 5)
    with pytest.raises(InvalidRequest):
        await server.infer(InferRequest("plus", {"X": np.zeros((9, 1), np.float32)}))


async def test_a_slow_model_never_runs_on_the_loop(
    repository: Path, start_server: StartServer, threads: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bento.inference.scheduling.inline_policy.INLINE_LIMIT_NS", 0)
    write_add_constant(repository, "plus", 1.0)
    server = await start_server()
    for _ in range(5):
        await server.infer(InferRequest("plus", {"X": np.zeros((1, 1), np.float32)}))
    assert threading.get_ident() not in threads


async def test_a_python_model_never_runs_on_the_loop(
    repository: Path, start_server: StartServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may depend on its thread: a gate that is closed would stop the whole server."""
    monkeypatch.setattr("bento.inference.scheduling.inline_policy.INLINE_LIMIT_NS", 10**12)
    write_gated(repository, "quick_gate", "max_batch_size: 4")
    server = await start_server()
    request = InferRequest("quick_gate", {"X": np.zeros((1, 1), np.float32)})
    await server.infer(request)
    gate("quick_gate").close()
    waiting = asyncio.create_task(server.infer(request))
    await gate("quick_gate").entered()
    await gate("quick_gate").entered()
    gate("quick_gate").open()
    await waiting


class Clock:
    """Stands still but for the time that the test says executions take."""

    def __init__(self) -> None:
        self.now_ns = 10**15
        self.computed_ns = 0
        self.execution_takes_ns = self.execution_computes_ns = 0

    def monotonic_ns(self) -> int:
        return self.now_ns

    def thread_time_ns(self) -> int:
        return self.computed_ns

    def execute(self) -> None:
        self.now_ns += self.execution_takes_ns
        self.computed_ns += self.execution_computes_ns


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The clock of everything that runs models."""
    clock = Clock()
    execute = JoinedInstance.execute

    def taking_its_time(self: JoinedInstance, calls: Sequence[Call]) -> ExecutionTimes:
        clock.execute()
        return execute(self, calls)

    monkeypatch.setattr(JoinedInstance, "execute", taking_its_time)
    monkeypatch.setattr(time, "monotonic_ns", clock.monotonic_ns)
    monkeypatch.setattr(time, "thread_time_ns", clock.thread_time_ns)
    return clock


@pytest.mark.parametrize(("computes_ns", "stays"), [(INLINE_LIMIT_NS // 2, True), (INLINE_LIMIT_NS * 2, False)])
async def test_a_quick_model_stays_on_the_loop_of_a_busy_machine(
    computes_ns: int, stays: bool, repository: Path, start_server: StartServer, clock: Clock, threads: list[int]
) -> None:
    """Others take the core: each execution lasts longer than a quick one may, and computes for a part of it."""
    write_add_constant(repository, "plus", 1.0)
    server = await start_server()
    ask = InferRequest("plus", {"X": np.zeros((1, 1), np.float32)})
    await server.infer(ask)
    while server.infer_now(ask) is None:  # until an instance is idle again
        await asyncio.sleep(0.001)
    del threads[:]
    clock.execution_takes_ns, clock.execution_computes_ns = 8 * INLINE_LIMIT_NS, computes_ns
    for _ in range(5):
        await server.infer(ask)
    assert [thread == threading.get_ident() for thread in threads] == [True, True, True, stays, stays]
