"""What takes more than one request: full queues, timeouts, shared memory, model control, statistics and metrics."""

from __future__ import annotations

import base64
import http.client
import json
import re
import threading
import time
import urllib.request
import uuid
from concurrent.futures import ThreadPoolExecutor
from multiprocessing import shared_memory
from typing import Any

import grpc
import pytest
from tritonclient.grpc import service_pb2 as pb
from tritonclient.grpc import service_pb2_grpc

from bento.inference.protocol.metrics import render_metrics
from tests.inference.triton_parity.grpc_cases import PACKED, simple, tensor

pytestmark = pytest.mark.triton


def call(address: str, method: str, path: str, value: Any = None) -> tuple[int, str]:
    connection = http.client.HTTPConnection(address, timeout=60)
    try:
        connection.request(method, path, None if value is None else json.dumps(value))
        response = connection.getresponse()
        return response.status, response.read().decode()
    finally:
        connection.close()


def slow(seconds: float, **members: Any) -> dict[str, Any]:
    return {"inputs": [{"name": "INPUT0", "shape": [1, 1], "datatype": "FP32", "data": [seconds]}], **members}


def overload(address: str) -> list[tuple[int, str]]:
    """Answers to requests that come while one runs and one waits in a queue of one."""
    path = "/v2/models/slow/infer"
    with ThreadPoolExecutor(4) as pool:
        running = pool.submit(call, address, "POST", path, slow(1.5))
        time.sleep(0.3)  # neither server tells when it has begun
        waiting = pool.submit(call, address, "POST", path, slow(0.0, id="w"))
        time.sleep(0.3)  # neither server tells when a request has entered its queue
        refused = call(address, "POST", path, slow(0.0, id="r"))
        return [refused, waiting.result(), running.result()]


def test_a_full_queue_refuses_alike(reference, ours):
    expected, got = overload(reference.http), overload(ours.http)
    assert [status for status, _ in expected] == [503, 200, 200]
    assert got == expected


def expired(address: str, model: str) -> list[tuple[int, str]]:
    """Answers to a request that may wait 100 ms, while another runs for a second."""
    path = f"/v2/models/{model}/infer"
    with ThreadPoolExecutor(2) as pool:
        running = pool.submit(call, address, "POST", path, slow(1.0))
        time.sleep(0.3)  # as above
        late = call(address, "POST", path, slow(0.0, id="late", parameters={"timeout": 100_000}))
        return [late, running.result()]


def test_a_request_that_waited_too_long_expires_alike(reference, ours):
    expected, got = expired(reference.http, "slow"), expired(ours.http, "slow")
    assert [status for status, _ in expected] == [503, 200]
    assert got == expected


def test_a_request_cannot_set_a_timeout_where_the_policy_has_none(reference, ours):
    expected, got = expired(reference.http, "patient"), expired(ours.http, "patient")
    assert [status for status, _ in expected] == [200, 200]
    assert [status for status, _ in got] == [200, 200]


def cancelled(address: str) -> grpc.StatusCode:
    with grpc.insecure_channel(address) as channel:
        stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
        request = pb.ModelInferRequest(
            model_name="slow", inputs=[tensor("INPUT0", "FP32", (1, 1), fp32_contents=[1.0])]
        )
        future = stub.ModelInfer.future(request)
        threading.Timer(0.2, future.cancel).start()
        with pytest.raises(grpc.FutureCancelledError):
            future.result(30)
        with pytest.raises(grpc.RpcError) as caught:
            stub.ModelInfer(request, timeout=0.2)
        return caught.value.code()


def test_clients_that_leave_are_told_alike(reference, ours):
    assert cancelled(ours.grpc) == cancelled(reference.grpc) == grpc.StatusCode.DEADLINE_EXCEEDED


def sequence(address: str, model: str) -> list[tuple[int, str]]:
    """What the requests of some sequences are answered, those that belong to none among them.

    Not asked: a text as the id for a control of UINT64. Triton copies the text's bytes there; we refuse it.
    """

    def ask(value: int, rows: int = 1, **parameters: Any) -> tuple[int, str]:
        tensor = {"name": "INPUT0", "shape": [rows, 1], "datatype": "INT32", "data": [value] * rows}
        request = {"id": f"v{value}", "inputs": [tensor], "parameters": parameters}
        return call(address, "POST", f"/v2/models/{model}/infer", request)

    return [
        ask(1),
        ask(2, sequence_id=0),
        ask(3, sequence_id=5),
        ask(4, sequence_id=5, sequence_start=True),
        ask(5, sequence_id=5),
        ask(6, sequence_id=6, sequence_start=True),
        ask(7, sequence_id=5, sequence_end=True),
        ask(8, sequence_id=5),
        ask(9, sequence_id=6, sequence_start=True),
        ask(10, rows=2, sequence_id=6),
        ask(11, sequence_id=6, sequence_end=True),
        ask(12, sequence_id=2**40, sequence_start=True, sequence_end=True),
        ask(13, sequence_id="", sequence_start=True),
    ]


@pytest.mark.parametrize("model", ["sequence_direct", "sequence_oldest"])
def test_sequences_are_served_alike(model, reference, ours):
    assert sequence(ours.http, model) == sequence(reference.http, model)


@pytest.fixture
def memory():
    memory = shared_memory.SharedMemory(f"marquee-{uuid.uuid4().hex}", create=True, size=4096)
    memory.buf[:64] = PACKED
    yield memory
    memory.close()
    memory.unlink()


def use_memory(address: str, key: str) -> list[tuple[int, str]]:
    """What each step answers: registering, status, inference with good and bad places, letting go."""
    region = "/v2/systemsharedmemory/region/films"

    def infer(place_in: dict[str, int], place_out: dict[str, int] | None = None) -> tuple[int, str]:
        inputs = [
            {
                "name": name,
                "shape": [1, 16],
                "datatype": "INT32",
                "parameters": {"shared_memory_region": "films", **place_in},
            }
            for name in ("INPUT0", "INPUT1")
        ]
        request: dict[str, Any] = {"inputs": inputs}
        if place_out is not None:
            request["outputs"] = [{"name": "OUTPUT0", "parameters": {"shared_memory_region": "films", **place_out}}]
        return call(address, "POST", "/v2/models/simple/infer", request)

    size, offset = "shared_memory_byte_size", "shared_memory_offset"
    register = {"key": key, "offset": 0, "byte_size": 1024}
    return [
        call(address, "POST", f"{region}/register", {**register, "byte_size": 8192}),
        call(address, "POST", f"{region}/register", register),
        call(address, "POST", f"{region}/register", register),
        call(address, "GET", f"{region}/status"),
        call(address, "GET", "/v2/systemsharedmemory/status"),
        call(address, "GET", "/v2/cudasharedmemory/region/films/status"),
        infer({size: 64}),
        infer({size: 64}, {size: 64, offset: 512}),
        infer({size: 64}, {size: 32}),
        infer({size: 32}),
        infer({size: 64, offset: 1000}),
        infer({size: 64, offset: 2000}),
        call(address, "POST", f"{region}/unregister"),
        infer({size: 64}),
        call(address, "POST", f"{region}/unregister"),
    ]


def test_shared_memory_behaves_alike(reference, ours, memory):
    expected = use_memory(reference.http, memory.name)
    doubled = bytes(memory.buf[512:576])
    assert doubled[4] == 2
    memory.buf[512:576] = bytes(64)
    # Only a region seen as CUDA memory is named differently by us: there is none.
    expected[5] = call(ours.http, "GET", "/v2/cudasharedmemory/region/films/status")
    assert use_memory(ours.http, memory.name) == expected
    assert bytes(memory.buf[512:576]) == doubled


def encoded(data: bytes) -> str:
    return base64.b64encode(data).decode()


def control(address: str, source: bytes) -> list[tuple[int, str]]:
    """What loading and unloading answers, and what the model does in between.

    Not asked: a plain load after one with another configuration. Triton sees unchanged files and keeps the other one;
    we go back to the repository's.
    """
    load, unload = "/v2/repository/models/simple/load", "/v2/repository/models/simple/unload"
    config = "/v2/models/simple/config"
    answers = [
        call(address, "POST", load),
        call(address, "POST", load, {"parameters": {"config": '{"max_batch_size":"16"}'}}),
        _with_only(call(address, "GET", config), "max_batch_size"),
        call(address, "POST", load, {"parameters": {"config": "{{"}}),
        call(address, "POST", load, {"parameters": {"config": '{"nope": 1}'}}),
        call(address, "POST", load, {"parameters": {"file:1/model.py": encoded(source)}}),
        _with_only(call(address, "GET", config), "max_batch_size"),
        call(address, "POST", unload),
    ]
    while call(address, "GET", "/v2/models/simple/ready")[0] == 200:
        time.sleep(0.05)  # unloading goes on after the answer
    answers += [
        call(address, "GET", "/v2/models/simple"),
        call(address, "POST", unload),
        call(address, "POST", load),
        call(address, "GET", "/v2/models/simple/ready"),
    ]
    return answers


def _with_only(answer: tuple[int, str], field: str) -> tuple[int, str]:
    return answer[0], str(json.loads(answer[1])[field])


def test_model_control_behaves_alike(reference, ours, repository):
    source = (repository / "simple" / "1" / "model.py").read_bytes()
    assert control(ours.http, source) == control(reference.http, source)


def keys(value: Any) -> Any:
    """The shape of a JSON value: its keys, without its numbers."""
    if isinstance(value, dict):
        return {key: keys(item) for key, item in value.items()}
    return [keys(value[0])] if isinstance(value, list) and value else type(value).__name__


def test_statistics_have_the_same_shape_and_count_alike(reference, ours):
    counts = []
    for address in (reference.http, ours.http):
        path = "/v2/models/identity_fp32/stats"
        before = json.loads(call(address, "GET", path)[1])["model_stats"][0]
        request = {"inputs": [{"name": "INPUT0", "shape": [2], "datatype": "FP32", "data": [1, 2]}]}
        for _ in range(3):
            call(address, "POST", "/v2/models/identity_fp32/infer", request)
        after = json.loads(call(address, "GET", path)[1])["model_stats"][0]
        parts = after["inference_stats"]
        counts.append(
            {
                "shape": keys({key: value for key, value in after.items() if key != "response_stats"}),
                "inferences": after["inference_count"] - before["inference_count"],
                "executions": after["execution_count"] - before["execution_count"],
                "successes": parts["success"]["count"] - before["inference_stats"]["success"]["count"],
                "adds_up": parts["success"]["ns"] >= parts["compute_infer"]["ns"] > 0,
            }
        )
    assert counts[1] == counts[0]


def test_metrics_have_the_same_names_labels_and_types(reference, ours):
    async def rendered() -> bytes:
        return render_metrics(ours.server)

    def described(text: str) -> set[str]:
        series = set(re.findall(r"^(nv_inference_\w+\{[^}]*\})", text, re.MULTILINE))
        return series | set(re.findall(r"^# (?:HELP|TYPE) nv_(?:inference|cpu)_.*", text, re.MULTILINE))

    with urllib.request.urlopen(f"http://{reference.metrics}/metrics", timeout=30) as response:
        expected = described(response.read().decode())
    assert described(ours.run(rendered()).decode()) == expected


def test_a_model_answers_over_grpc_what_it_answers_over_http(reference, ours):
    for peer in (reference, ours):
        with grpc.insecure_channel(peer.grpc) as channel:
            over_grpc = service_pb2_grpc.GRPCInferenceServiceStub(channel).ModelInfer(simple()).raw_output_contents
        values = {"shape": [1, 16], "datatype": "INT32", "data": list(range(16))}
        request = {"inputs": [{"name": name, **values} for name in ("INPUT0", "INPUT1")]}
        status, text = call(peer.http, "POST", "/v2/models/simple/infer", request)
        assert status == 200
        over_http = [output["data"] for output in json.loads(text)["outputs"]]
        assert [list(memoryview(data).cast("i")) for data in over_grpc] == over_http
