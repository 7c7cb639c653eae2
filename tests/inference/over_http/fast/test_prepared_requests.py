"""Clients that send the same kind of request again and again, over the wire, beside each other and beside reloads."""

from __future__ import annotations

import json
import struct
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import grpc
import pytest
from tritonclient.grpc import service_pb2 as pb
from tritonclient.grpc import service_pb2_grpc

from bento.inference.core.options import ServerOptions
from bento.inference.server import InferenceServer
from tests.inference.http_wire import Wire
from tests.inference.model_folders import write_add_constant, write_add_sub
from tests.inference.running_servers import Running, serve_in_thread

REQUESTS = 150
"""Of each client."""
RELOADS = 6

Ask = Callable[[float], float]
Asker = Callable[[Running], AbstractContextManager[Ask]]


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    write_add_sub(tmp_path)
    write_add_constant(tmp_path, "plus", 0.0)
    return tmp_path


@pytest.fixture
def running(repository: Path) -> Iterator[Running]:
    options = ServerOptions((repository,), device="cpu", model_control_mode="explicit", load_models=("*",))
    yield from serve_in_thread(lambda: InferenceServer.start(options))


@contextmanager
def over_http(running: Running) -> Iterator[Ask]:
    """Asks `plus` on a connection of its own."""
    wire = Wire(running.http_port)
    members = {
        "inputs": [{"name": "X", "shape": [1, 1], "datatype": "FP32", "parameters": {"binary_data_size": 4}}],
        "outputs": [{"name": "Y", "parameters": {"binary_data": True}}],
    }
    header = json.dumps(members).encode()
    head = f"POST /v2/models/plus/infer HTTP/1.1\r\nHost: films\r\nContent-Length: {len(header) + 4}\r\n"
    head += f"Inference-Header-Content-Length: {len(header)}\r\n\r\n"

    def ask(value: float) -> float:
        status, data = wire.ask(head.encode() + header + struct.pack("<f", value))
        assert status.startswith(b"HTTP/1.1 200 OK"), data
        (answer,) = struct.unpack("<f", data[-4:])
        return float(answer)

    yield ask
    wire.socket.close()


@contextmanager
def over_grpc(running: Running) -> Iterator[Ask]:
    """Asks `plus` on a channel of its own."""
    channel = grpc.insecure_channel(running.grpc)
    stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)

    def ask(value: float) -> float:
        message = pb.ModelInferRequest(model_name="plus", raw_input_contents=[struct.pack("<f", value)])
        message.inputs.add(name="X", datatype="FP32", shape=[1, 1])
        (answer,) = struct.unpack("<f", stub.ModelInfer(message, timeout=30).raw_output_contents[0])
        return float(answer)

    yield ask
    channel.close()


@pytest.mark.parametrize("asker", [over_http, over_grpc])
def test_clients_of_one_kind_each_get_their_own_answers_and_all_are_counted(asker: Asker, running: Running) -> None:
    def client(number: int) -> None:
        with asker(running) as ask:
            for turn in range(REQUESTS):
                assert ask(1000.0 * number + turn) == 1000.0 * number + turn

    with ThreadPoolExecutor(6) as clients:
        list(clients.map(client, range(6)))
    (statistics,) = running.server.model_statistics("plus")
    assert statistics["inference_stats"]["success"]["count"] == 6 * REQUESTS
    assert statistics["inference_count"] == 6 * REQUESTS
    assert sum(batch["compute_infer"]["count"] for batch in statistics["batch_stats"]) == statistics["execution_count"]


def test_a_reload_loses_no_request_and_what_is_asked_after_it_is_answered_by_the_new_one(
    running: Running, repository: Path
) -> None:
    stop = threading.Event()
    answered = [threading.Semaphore(0), threading.Semaphore(0)]

    def client(number: int, asker: Asker) -> None:
        with asker(running) as ask:
            while not stop.is_set():
                assert ask(0.5) in {turn + 0.5 for turn in range(RELOADS + 1)}
                answered[number].release()

    with over_http(running) as http, over_grpc(running) as grpc_, ThreadPoolExecutor(2) as clients:
        asking = [clients.submit(client, number, asker) for number, asker in enumerate((over_http, over_grpc))]
        try:
            for turn in range(1, RELOADS + 1):
                for answers in answered * 20:
                    assert answers.acquire(timeout=30)
                write_add_constant(repository, "plus", float(turn))
                running.run(running.server.load_model("plus"))
                assert [http(0.25), grpc_(0.25)] == [turn + 0.25] * 2
        finally:
            stop.set()
        for done in asking:
            done.result(30)
