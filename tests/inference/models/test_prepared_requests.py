"""Requests like earlier ones are answered from memory bound to the model, and nobody can tell by the answers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import helper
from tritonclient.grpc import service_pb2 as pb

from bento.inference.backends.onnxruntime_fast import BoundMemory
from bento.inference.core.messages import InferRequest
from bento.inference.models import prepared_requests as module
from bento.inference.models.prepared_requests import (
    MAX_PER_MODEL,
    PREPARE_AFTER,
    PreparedRequest,
    PreparedRequests,
    WireForm,
)
from bento.inference.models.statistics import ModelStatistics
from bento.inference.over_grpc.service import V2Servicer
from bento.inference.over_http.fast.head_cache import CachedHead
from bento.inference.over_http.fast.immediate_answers import ImmediateAnswers
from bento.inference.protocol.front_end import FrontEndState
from bento.inference.protocol.v2_codec import decode_request
from bento.inference.scheduling.inline_policy import INLINE_LIMIT_NS, InlinePolicy
from bento.inference.server import InferenceServer
from tests.inference.model_folders import tensor, write_add_constant, write_add_sub, write_onnx
from tests.inference.running_servers import StartServer

TWICE = 2 * PREPARE_AFTER


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> list[BoundMemory]:
    """Every run in bound memory, prepared_requests included."""
    seen: list[BoundMemory] = []
    run = BoundMemory.run

    def noting(self: BoundMemory) -> None:
        seen.append(self)
        run(self)

    monkeypatch.setattr(BoundMemory, "run", noting)
    return seen


@pytest.fixture(autouse=True)
def always_quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """How long a run took, and how many took place in a millisecond, is not the matter here."""
    monkeypatch.setattr(InlinePolicy, "may_run_inline", lambda *_: True)
    monkeypatch.setattr(module, "INLINE_LIMIT_NS", 1 << 60)


class Client:
    """Asks one model over HTTP, as a connection would whose head and JSON are known."""

    def __init__(self, server: InferenceServer, model: str, outputs: list[str]) -> None:
        self.server, self.model, self.outputs = server, model, outputs
        self.state = FrontEndState()
        self.immediate = ImmediateAnswers(server, self.state, 1 << 20)

    def ask(self, **inputs: np.ndarray[Any, Any]) -> dict[str, np.ndarray[Any, Any]]:
        """The outputs, all of them in binary."""
        names = {"float32": "FP32", "int32": "INT32"}
        declared = [
            {
                "name": name,
                "shape": list(value.shape),
                "datatype": names[str(value.dtype)],
                "parameters": {"binary_data_size": value.nbytes},
            }
            for name, value in inputs.items()
        ]
        wanted = [{"name": name, "parameters": {"binary_data": True}} for name in self.outputs]
        header = json.dumps({"inputs": declared, "outputs": wanted}).encode()
        body = header + b"".join(value.tobytes() for value in inputs.values())
        decoded = decode_request(body, len(header), self.model, "", self.state.regions)
        self.state.json_headers.remember(body, len(header), decoded)
        known = CachedHead("/", self.model, "", len(header), len(body))
        while (answer := self.immediate.answer(known, body)) is None:
            """The instance's thread is not idle yet; or the last one was slow, or failed."""
        head, data = answer.split(b"\r\n\r\n", 1)
        if not head.startswith(b"HTTP/1.1 200 OK\r\n"):
            raise RuntimeError(json.loads(data)["error"])
        lengths = dict(line.split(b": ") for line in head.split(b"\r\n")[1:])
        assert int(lengths[b"content-length"]) == len(data)
        end = int(lengths[b"inference-header-content-length"])
        found = {}
        for output in json.loads(data[:end])["outputs"]:
            size = output["parameters"]["binary_data_size"]
            numpy_type = {"FP32": np.float32, "INT32": np.int32, "INT64": np.int64}[output["datatype"]]
            found[output["name"]] = np.frombuffer(data[end : end + size], numpy_type).reshape(output["shape"])
            end += size
        assert end == len(data)
        return found


def sixteen(value: int, rows: int = 1) -> np.ndarray[Any, Any]:
    return np.arange(16 * rows, dtype=np.int32).reshape(rows, 16) + np.int32(value)


async def test_each_request_gets_the_answer_to_its_own_tensors(
    repository: Path, start_server: StartServer, runs: list[BoundMemory]
) -> None:
    write_add_sub(repository, config="max_batch_size: 8")
    server = await start_server(fast_path=True)
    client = Client(server, "simple", ["OUTPUT0", "OUTPUT1"])
    for number in range(TWICE):
        for rows in (1, 3):  # two kinds, by turns
            left, right = sixteen(number, rows), sixteen(-5 * number, rows)
            found = client.ask(INPUT0=left, INPUT1=right)
            assert (found["OUTPUT0"] == left + right).all()
            assert (found["OUTPUT1"] == left - right).all()
    assert len(runs) == 2 * (TWICE - PREPARE_AFTER + 1)
    (statistics,) = server.model_statistics("simple")
    assert statistics["execution_count"] == 2 * TWICE
    assert statistics["inference_count"] == 4 * TWICE  # rows
    totals: Any = statistics["inference_stats"]
    assert {totals[part]["count"] for part in ("success", "queue", "compute_infer")} == {2 * TWICE}
    parts = ("queue", "compute_input", "compute_infer", "compute_output")
    assert 0 < sum(totals[part]["ns"] for part in parts) <= totals["success"]["ns"]
    batches: Any = statistics["batch_stats"]
    assert [(batch["batch_size"], batch["compute_infer"]["count"]) for batch in batches] == [(1, TWICE), (3, TWICE)]


async def test_grpc_answers_in_the_same_bytes_and_after_the_deadline_in_the_ordinary_way(
    repository: Path, start_server: StartServer, runs: list[BoundMemory]
) -> None:
    write_add_sub(repository)
    server = await start_server(fast_path=True)
    servicer: Any = V2Servicer(server, FrontEndState())

    class Context:
        left_s: float | None = None

        def time_remaining(self) -> float | None:
            return self.left_s

    context = Context()
    for number in range(TWICE):
        left, right = sixteen(number), sixteen(7)
        message = pb.ModelInferRequest(model_name="simple", raw_input_contents=[left.tobytes(), right.tobytes()])
        for name in ("INPUT0", "INPUT1"):
            message.inputs.add(name=name, datatype="INT32", shape=[1, 16])
        context.left_s = None if number % 2 else 10.0
        answer = pb.ModelInferResponse.FromString(await servicer.ModelInfer(message.SerializeToString(), context))
        assert (answer.model_name, answer.model_version) == ("simple", "1")
        assert [(item.name, item.datatype, list(item.shape)) for item in answer.outputs] == [
            ("OUTPUT0", "INT32", [1, 16]),
            ("OUTPUT1", "INT32", [1, 16]),
        ]
        assert list(answer.raw_output_contents) == [(left + right).tobytes(), (left - right).tobytes()]
    ran = len(runs)
    assert ran > 1
    context.left_s = 0.0
    assert await servicer.ModelInfer(message.SerializeToString(), context) == answer.SerializeToString()
    assert len(runs) == ran


async def test_a_reloaded_model_answers_as_it_is_now_and_an_unloaded_one_not_at_all(
    repository: Path, start_server: StartServer, runs: list[BoundMemory]
) -> None:
    write_add_constant(repository, "plus", 1.0)
    server = await start_server(fast_path=True, model_control_mode="explicit", load_models=("plus",))
    client = Client(server, "plus", ["Y"])
    two = np.array([[2.0]], np.float32)
    assert [client.ask(X=two)["Y"].item() for _ in range(TWICE)] == [3.0] * TWICE
    ran = len(runs)
    write_add_constant(repository, "plus", 10.0)
    await server.load_model("plus")
    assert client.ask(X=two)["Y"].item() == 12.0
    assert len(runs) == ran
    await server.unload_model("plus")
    with pytest.raises(RuntimeError, match="has no available versions"):
        client.ask(X=two)


async def test_a_model_of_chance_is_not_prepared(
    repository: Path, start_server: StartServer, runs: list[BoundMemory]
) -> None:
    noise = helper.make_node("RandomUniformLike", ["X"], ["Y"])
    write_onnx(repository, "dice", [noise], [tensor("X", "FP32", [4])], [tensor("Y", "FP32", [4])])
    client = Client(await start_server(fast_path=True), "dice", ["Y"])
    thrown = [tuple(client.ask(X=np.zeros(4, np.float32))["Y"].tolist()) for _ in range(TWICE)]
    assert len(set(thrown)) == TWICE
    assert len(runs) == 1  # the prepared, which gave something else


async def test_an_output_whose_size_depends_on_the_values_is_right_whatever_was_prepared(
    repository: Path, start_server: StartServer, runs: list[BoundMemory]
) -> None:
    where = helper.make_node("NonZero", ["X"], ["Y"])
    write_onnx(repository, "where", [where], [tensor("X", "FP32", [4])], [tensor("Y", "INT64", [1, "found"])])
    client = Client(await start_server(fast_path=True), "where", ["Y"])
    pair, triple = np.array([0, 1, 0, 1], np.float32), np.array([1, 1, 0, 1], np.float32)
    for _ in range(TWICE):
        assert client.ask(X=pair)["Y"].tolist() == [[1, 3]]
    assert len(runs) > 1
    for _ in range(4):
        assert client.ask(X=triple)["Y"].tolist() == [[0, 1, 3]]
        assert client.ask(X=pair)["Y"].tolist() == [[1, 3]]


async def test_a_model_that_reads_other_shapes_than_its_clients_write_is_not_prepared(
    repository: Path, start_server: StartServer, runs: list[BoundMemory]
) -> None:
    config = """
        max_batch_size: 0
        input [{ name: "X" data_type: TYPE_FP32 dims: [ 1, 1 ] }]
        output [{ name: "Y" data_type: TYPE_FP32 dims: [ 1 ] reshape { shape: [ 1, 1 ] } }]
    """
    write_add_constant(repository, "plus", 1.0, config=config)
    client = Client(await start_server(fast_path=True), "plus", ["Y"])
    for _ in range(TWICE):
        assert client.ask(X=np.array([[2.0]], np.float32))["Y"].tolist() == [3.0]
    assert runs == []


class Doubling:
    """A model with room for one byte."""

    def __init__(self) -> None:
        self.inputs, self.outputs = [memoryview(bytearray(1))], [memoryview(bytearray(1))]
        self.fails = False

    def run(self) -> None:
        if self.fails:
            raise RuntimeError("no")
        self.outputs[0][0] = 2 * self.inputs[0][0]


class World:
    """A prepared of `Doubling`, and all that it looks at."""

    def __init__(self) -> None:
        self.fixed, self.statistics, self.instance = Doubling(), ModelStatistics(), object()
        wire = WireForm(b"key", [1], [b"<"])
        idle_instance: Any = lambda: self.instance  # noqa: E731
        self.prepared = PreparedRequest(self.fixed, wire, 0, None, idle_instance, InlinePolicy(), self.statistics)

    def ask(self, data: bytes = b"??-\x15") -> bytes | None:
        return self.prepared.answer(data, 2, b"HEAD ")


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How long the next steps take, in nanoseconds."""
    steps: list[int] = []

    def ticks() -> Iterator[int]:
        now_ns = 0
        while True:
            yield now_ns
            now_ns += steps.pop(0) if steps else 1

    clock = ticks()
    monkeypatch.setattr(module, "monotonic_ns", lambda: next(clock))
    return steps


def test_the_answer_is_its_beginning_and_the_outputs_between_what_stands_there(world: World) -> None:
    assert world.ask() == b"HEAD <\x2a"
    assert world.statistics.success.count == world.statistics.execution_count == 1


def test_without_a_free_instance_it_waits_its_turn(world: World) -> None:
    instance, world.instance = world.instance, None
    assert world.ask() is None
    world.instance = instance
    assert world.ask() is not None


@pytest.mark.parametrize("data", [b"??-", b"??-ab", b"??"])
def test_a_request_of_another_length_is_none_of_its_business(world: World, data: bytes) -> None:
    assert world.ask(data) is None


def test_what_fails_is_left_to_the_ordinary_way_and_not_counted(world: World) -> None:
    world.fixed.fails = True
    assert world.ask() is None
    assert world.statistics.execution_count == 0


def test_after_a_slow_run_the_ordinary_way_finds_out_why(
    world: World, clock: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "INLINE_LIMIT_NS", INLINE_LIMIT_NS)
    clock += [1, 1, INLINE_LIMIT_NS]
    assert world.ask() is not None
    assert [world.ask() is None for _ in range(3)] == [True, False, False]


def test_times_are_told_as_for_any_request(world: World, clock: list[int]) -> None:
    clock += [10, 200, 3_000, 40_000]
    world.ask()
    told = world.statistics
    parts = (told.queue, told.compute_input, told.compute_infer, told.compute_output, told.success)
    assert [part.ns for part in parts] == [10, 200, 3_000, 40_000, 43_210]


def test_kinds_are_counted_and_kept_in_bounds() -> None:
    prepared_requests = PreparedRequests()
    assert [prepared_requests.is_due(b"a") for _ in range(PREPARE_AFTER + 2)] == [False] * (PREPARE_AFTER - 1) + [
        True, False, False,
    ]  # fmt: skip
    for _ in range(PREPARE_AFTER - 1):
        prepared_requests.is_due(b"z")
    for number in range(10_000):
        prepared_requests.is_due(b"%d" % number)
    assert not prepared_requests.is_due(b"z")  # its count was dropped to make room
    for number in range(MAX_PER_MODEL):
        prepared_requests.add(b"%d" % number, World().prepared)
    assert not any(prepared_requests.is_due(b"b") for _ in range(TWICE))
    prepared_requests.clear()
    assert prepared_requests.get(b"0") is None


async def test_ids_and_large_tensors_are_not_prepared(repository: Path, start_server: StartServer) -> None:
    write_add_sub(repository)
    server = await start_server(fast_path=True)
    inputs = {"INPUT0": sixteen(1), "INPUT1": sixteen(2)}
    plain = InferRequest("simple", inputs)
    named = InferRequest("simple", inputs, id="7")
    response = await server.infer(plain)
    assert module.is_plain(plain, response)
    assert not module.is_plain(named, response)
    response.outputs["OUTPUT0"] = np.zeros(1 << 14, np.int32)
    assert not module.is_plain(plain, response)
