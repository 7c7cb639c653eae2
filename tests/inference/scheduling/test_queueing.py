"""Queues of a running model: bounds, timeouts, priorities, cancellation, deadlines, order. A gate holds the model."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from bento.inference.core.errors import DeadlineExceeded, QueueFull, QueueTimeout, Unavailable
from bento.inference.core.messages import InferRequest, InferResponse
from bento.inference.server import InferenceServer
from tests.inference.gates import Gate, gate
from tests.inference.model_folders import write_gated
from tests.inference.running_servers import StartServer

MS = 1_000_000


@dataclass
class Held:
    """A server whose model is busy with a first request, until the gate opens."""

    server: InferenceServer
    gate: Gate
    first: asyncio.Task[InferResponse]
    name: str

    def ask(
        self, value: float, *, priority: int = 0, timeout_us: int = 0, deadline_ns: int | None = None
    ) -> InferRequest:
        inputs = {"X": np.array([[value]], np.float32)}
        return InferRequest(self.name, inputs, priority=priority, timeout_us=timeout_us, deadline_ns=deadline_ns)

    def queue(self, value: float, **more: int) -> asyncio.Task[InferResponse]:
        return asyncio.create_task(self.server.infer(self.ask(value, **more)))

    async def queued(self, count: int) -> None:
        """Wait until this many requests wait in the queue."""
        while self.server.pending_requests()[self.name, "1"] != count:
            await asyncio.sleep(0)


@pytest.fixture
async def hold(repository: Path, start_server: StartServer, request: pytest.FixtureRequest) -> AsyncIterator[Held]:
    """Parametrised with the model's configuration."""
    name = request.node.name.replace("[", "_").replace("]", "_")[:60]
    write_gated(repository, name, request.param)
    server = await start_server()
    held_gate = gate(name)
    held_gate.close()
    inputs = {"X": np.array([[0.0]], np.float32)}
    first = asyncio.create_task(server.infer(InferRequest(name, inputs)))
    await held_gate.entered()
    yield Held(server, held_gate, first, name)
    held_gate.open()
    await first


def configured(text: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("hold", [text], indirect=True, ids=["model"])


BATCHING = "max_batch_size: 8 dynamic_batching { }"


@configured(BATCHING)
async def test_what_waited_while_the_model_was_busy_runs_as_one_batch(hold: Held) -> None:
    waiting = [hold.queue(value) for value in (1, 2, 3)]
    await hold.queued(3)
    hold.gate.open()
    answers = await asyncio.gather(*waiting)
    assert [float(answer.outputs["Y"][0, 0]) for answer in answers] == [1, 2, 3]
    assert hold.gate.batches == [[0], [1, 2, 3]]


@configured("max_batch_size: 8")
async def test_without_dynamic_batching_they_run_one_by_one(hold: Held) -> None:
    waiting = [hold.queue(value) for value in (1, 2)]
    await hold.queued(2)
    hold.gate.open()
    await asyncio.gather(*waiting)
    assert hold.gate.batches == [[0], [1], [2]]


@configured("max_batch_size: 1 dynamic_batching { default_queue_policy { max_queue_size: 2 } }")
async def test_a_full_queue_refuses_at_once(hold: Held) -> None:
    waiting = [hold.queue(value) for value in (1, 2)]
    await hold.queued(2)
    with pytest.raises(QueueFull, match=r"^\[request id: <id_unknown>\] Exceeds maximum queue size$"):
        await hold.server.infer(hold.ask(3))
    hold.gate.open()
    await asyncio.gather(*waiting)
    assert hold.server.failure_counts()[hold.name, "1"] == {"REJECTED": 1}


@configured("max_batch_size: 8 dynamic_batching { default_queue_policy { default_timeout_microseconds: 20000 } }")
async def test_a_queue_timeout_is_told_while_the_model_is_still_busy(hold: Held) -> None:
    with pytest.raises(QueueTimeout, match=r"^Request timeout expired$"):
        await hold.server.infer(hold.ask(1))
    assert not hold.first.done()
    hold.gate.open()
    await hold.first
    assert hold.gate.batches == [[0]]


@configured(
    "max_batch_size: 8 dynamic_batching { default_queue_policy { "
    "default_timeout_microseconds: 60000000 allow_timeout_override: true } }"
)
async def test_a_request_may_ask_for_a_shorter_timeout(hold: Held) -> None:
    patient = hold.queue(1)
    with pytest.raises(QueueTimeout):
        await hold.server.infer(hold.ask(2, timeout_us=10_000))
    hold.gate.open()
    await patient
    assert hold.gate.batches == [[0], [1]]


@configured(
    "max_batch_size: 1 dynamic_batching { default_queue_policy { timeout_action: DELAY "
    "default_timeout_microseconds: 60000000 allow_timeout_override: true } }"
)
async def test_a_delayed_request_runs_last(hold: Held) -> None:
    late = hold.queue(1, timeout_us=1)
    in_time = hold.queue(2)
    await hold.queued(2)
    hold.gate.open()
    await asyncio.gather(late, in_time)
    assert hold.gate.batches == [[0], [2], [1]]


@configured("max_batch_size: 1 dynamic_batching { priority_levels: 2 default_priority_level: 2 }")
async def test_an_urgent_request_overtakes(hold: Held) -> None:
    ordinary, urgent = hold.queue(1), hold.queue(2, priority=1)
    await hold.queued(2)
    hold.gate.open()
    await asyncio.gather(ordinary, urgent)
    assert hold.gate.batches == [[0], [2], [1]]


@configured(BATCHING)
async def test_a_cancelled_request_never_runs(hold: Held) -> None:
    leaving, staying = hold.queue(1), hold.queue(2)
    await hold.queued(2)
    leaving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leaving
    hold.gate.open()
    await staying
    assert hold.gate.batches == [[0], [2]]
    assert hold.server.failure_counts()[hold.name, "1"] == {"CANCELED": 1}


@configured(BATCHING)
async def test_a_request_whose_deadline_passed_never_runs(hold: Held) -> None:
    with pytest.raises(DeadlineExceeded):
        await hold.server.infer(hold.ask(1, deadline_ns=time.monotonic_ns() + 20 * MS))
    staying = hold.queue(2, deadline_ns=time.monotonic_ns() + 60_000 * MS)
    hold.gate.open()
    await staying
    assert hold.gate.batches == [[0], [2]]


async def test_a_client_that_leaves_mid_batch_leaves_its_neighbours_alone(
    repository: Path, start_server: StartServer
) -> None:
    name = "mid_batch"
    write_gated(
        repository,
        name,
        "max_batch_size: 8 dynamic_batching { preferred_batch_size: [ 2 ] max_queue_delay_microseconds: 60000000 }",
    )
    server = await start_server()
    held_gate = gate(name)
    held_gate.close()
    requests = [InferRequest(name, {"X": np.array([[value]], np.float32)}) for value in (1, 2)]
    leaving, staying = (asyncio.create_task(server.infer(request)) for request in requests)
    await held_gate.entered()
    leaving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leaving
    held_gate.open()
    assert (await staying).outputs["Y"].tolist() == [[2]]
    assert held_gate.batches == [[1, 2]]


async def test_preserved_order_holds_back_a_fast_answer_behind_a_slow_one(
    repository: Path, start_server: StartServer
) -> None:
    """Two instances: the second finishes first, yet the first request is answered first."""
    name = "ordered"
    write_gated(
        repository, name, "max_batch_size: 1 dynamic_batching { preserve_ordering: true } instance_group [{ count: 2 }]"
    )
    server = await start_server()
    held_gate = gate(name)
    held_gate.close()
    order: list[float] = []

    async def ask(value: float) -> None:
        await server.infer(InferRequest(name, {"X": np.array([[value]], np.float32)}))
        order.append(value)

    tasks = [asyncio.create_task(ask(value)) for value in (1.0, 2.0, 3.0)]
    await held_gate.entered()
    await held_gate.entered()
    held_gate.open()
    await asyncio.gather(*tasks)
    assert order == [1.0, 2.0, 3.0]


async def test_a_queue_delay_lets_a_batch_gather(repository: Path, start_server: StartServer) -> None:
    """The delay is a minute, so only the preferred size can have started the batch."""
    name = "gathering"
    write_gated(
        repository,
        name,
        "max_batch_size: 8 dynamic_batching { preferred_batch_size: [ 3 ] max_queue_delay_microseconds: 60000000 }",
    )
    server = await start_server()
    requests = [InferRequest(name, {"X": np.array([[value]], np.float32)}) for value in (1, 2, 3)]
    await asyncio.gather(*map(server.infer, requests))
    assert gate(name).batches == [[1, 2, 3]]


async def test_a_queue_delay_ends(repository: Path, start_server: StartServer) -> None:
    name = "waiting"
    write_gated(
        repository,
        name,
        "max_batch_size: 8 dynamic_batching { preferred_batch_size: [ 8 ] max_queue_delay_microseconds: 30000 }",
    )
    server = await start_server()
    started_ns = time.monotonic_ns()
    response = await server.infer(InferRequest(name, {"X": np.array([[1]], np.float32)}))
    assert time.monotonic_ns() - started_ns >= 30 * MS
    assert response.timing.queue_ns >= 30 * MS


async def test_closing_the_server_answers_what_was_accepted(repository: Path, start_server: StartServer) -> None:
    name = "closing"
    write_gated(repository, name, BATCHING)
    server = await start_server()
    held_gate = gate(name)
    held_gate.close()
    tasks = [
        asyncio.create_task(server.infer(InferRequest(name, {"X": np.array([[value]], np.float32)})))
        for value in (1, 2, 3)
    ]
    await held_gate.entered()
    closing = asyncio.create_task(server.close())
    await asyncio.sleep(0)
    assert not server.is_ready()
    held_gate.open()
    answers = await asyncio.gather(*tasks)
    assert [float(answer.outputs["Y"][0, 0]) for answer in answers] == [1, 2, 3]
    await closing


async def test_closing_waits_no_longer_than_its_timeout(repository: Path, start_server: StartServer) -> None:
    name = "never_closing"
    write_gated(repository, name, BATCHING)
    server = await start_server(shutdown_timeout_s=0.05)
    gate(name).close()
    stuck = asyncio.create_task(server.infer(InferRequest(name, {"X": np.array([[1]], np.float32)})))
    await gate(name).entered()
    await server.close()
    assert not stuck.done()
    with pytest.raises(Unavailable, match=r"^Server exiting$"):
        await server.infer(InferRequest(name, {"X": np.array([[1]], np.float32)}))
    gate(name).open()
    await stuck
