"""Malformed requests, made by chance from a seed: each is answered, none breaks the server, none makes it grow."""

from __future__ import annotations

import copy
import gzip
import http.client
import json
import random
import socket
import struct
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import pytest
from tritonclient.grpc import service_pb2 as pb

from tests.inference.running_servers import Running

SEED = 20261121
FEW = 400
MANY = pytest.param(10_000, marks=pytest.mark.slow)
GROWTH_LIMIT_BYTES = 10 << 20

DOCUMENTED_SERVER_ERRORS = {
    (500, "Unable to open shared memory region"),  # as tritonserver: there is no such object
    (501, "Unsupported compression type"),
    (501, "HTTP end point doesn't support models with decoupled transaction policy"),
    (501, "'repository_name' specification is not supported"),
    (501, "log file location can not be updated"),
    (501, "trace file location can not be updated"),
}

VALUES = [None, True, False, 0, 1, -1, 16, 2**31, 2**63, 2**64, -(2**63), 1.5, 1e308, float("nan"), float("inf"), "",
          "x", "INPUT0", "FP32", "BYTES", "FP16", "\0", "é", [], [1], [[]], [None], {}, {"a": 1}, [2**40, 2**40], [-1],
          [0]]  # fmt: skip
KEYS = ["id", "inputs", "outputs", "parameters", "name", "shape", "datatype", "data", "binary_data_size", "binary_data",
        "classification", "shared_memory_region", "shared_memory_byte_size", "shared_memory_offset", "timeout",
        "priority", "sequence_id", "binary_data_output", "triton_x", "other"]  # fmt: skip
MODELS = ["simple", "simple_string", "identity_fp32", "identity_string", "identity_bool", "classifier", "repeat_int32",
          "nope", "failing-not", "%00", "a b", ""]  # fmt: skip


def resident_bytes() -> int:
    """Memory of this process, in which server and client live."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


def simple() -> dict[str, Any]:
    tensor = {"shape": [1, 16], "datatype": "INT32", "data": list(range(16))}
    return {
        "id": "f",
        "inputs": [{"name": "INPUT0", **tensor}, {"name": "INPUT1", **tensor}],
        "outputs": [{"name": "OUTPUT0", "parameters": {"binary_data": True}}],
        "parameters": {"timeout": 5},
    }


def mutated(chance: random.Random, value: Any) -> Any:
    """The JSON value with one of its parts replaced, dropped or added."""
    if isinstance(value, dict) and value and chance.random() < 0.8:
        key = chance.choice(list(value))
        action = chance.random()
        if action < 0.15:
            del value[key]
        elif action < 0.3:
            value[chance.choice(KEYS)] = copy.deepcopy(chance.choice(VALUES))
        else:
            value[key] = mutated(chance, value[key])
        return value
    if isinstance(value, list) and value and chance.random() < 0.7:
        index = chance.randrange(len(value))
        value[index] = mutated(chance, value[index])
        return value
    return copy.deepcopy(chance.choice(VALUES))


def spoiled(chance: random.Random, data: bytes) -> bytes:
    """The bytes cut, extended or with some of them changed."""
    changed = bytearray(data)
    for _ in range(chance.randrange(3)):
        action = chance.randrange(3)
        if action == 0:
            del changed[chance.randrange(len(changed) + 1) :]
        elif action == 1:
            changed += chance.randbytes(chance.randrange(40))
        elif changed:
            changed[chance.randrange(len(changed))] = chance.randrange(256)
    return bytes(changed)


def http_request(chance: random.Random) -> tuple[str, str, bytes, dict[str, str]]:
    """Method, path, body and headers of a request that is nearly right."""
    request = simple()
    for _ in range(chance.randrange(1, 4)):
        request = mutated(chance, request)
    body, headers = json.dumps(request).encode(), {}
    if chance.random() < 0.5:
        headers["Inference-Header-Content-Length"] = str(
            chance.choice([len(body), 0, -1, 5, len(body) + 1, "x", "", "1e3", 10**20])
        )
        body += chance.randbytes(chance.choice([0, 1, 64, 128]))
    if chance.random() < 0.4:
        body = spoiled(chance, body)
    if chance.random() < 0.2:
        headers["Content-Encoding"] = chance.choice(["gzip", "deflate", "br", "identity", "gzip, gzip"])
        if chance.random() < 0.7:
            body = spoiled(chance, gzip.compress(body))
    if chance.random() < 0.2:
        headers["Accept-Encoding"] = chance.choice(["gzip", "deflate;q=", ";q=;q=1", ",,,", "gzip;q=nan", "*;q=-1"])
    model = chance.choice(MODELS).replace(" ", "%20")
    path = chance.choice([
        "/v2/models/simple/infer", "/v2/models/simple/infer", f"/v2/models/{model}/infer", f"/v2/models/{model}",
        f"/v2/models/{model}/versions/{chance.choice(['1', '0', '9' * 30, 'x'])}/infer", "/v2/repository/index",
        f"/v2/repository/models/{model}/load", f"/v2/systemsharedmemory/region/{model}/register", "/v2/logging",
        "/v2/trace/setting", f"/v2/models/{model}/trace/setting", "/v2/" + "x" * chance.randrange(200), "//v2", "*",
    ])  # fmt: skip
    method = chance.choice(["POST"] * 8 + ["GET", "PUT", "DELETE", "OPTIONS", "PATCH"])
    return method, path, body, headers


def answers_still(running: Running) -> bool:
    connection = http.client.HTTPConnection(running.http, timeout=20)
    try:
        connection.request("POST", "/v2/models/simple/infer", json.dumps(simple()))
        return connection.getresponse().status == 200
    finally:
        connection.close()


def without_growth(count: int, once: Callable[[], None]) -> None:
    """Do it `count` times; what the second half leaves in memory must be little."""
    for _ in range(count // 2):
        once()
    before = resident_bytes()
    for _ in range(count - count // 2):
        once()
    assert resident_bytes() - before < GROWTH_LIMIT_BYTES


@pytest.mark.timeout(900)
@pytest.mark.parametrize("count", [FEW, MANY])
def test_malformed_http_requests_are_the_clients_fault(numpy_models, count):
    chance = random.Random(SEED)
    seen: Counter[int] = Counter()
    connection = http.client.HTTPConnection(numpy_models.http, timeout=20)

    def once() -> None:
        method, path, body, headers = http_request(chance)
        connection.request(method, path, body, headers)
        response = connection.getresponse()
        answer = response.read()
        seen[response.status] += 1
        if response.status >= 500:
            text = json.loads(answer)["error"]
            assert any((response.status, text[: len(start)]) == (status, start)
                       for status, start in DOCUMENTED_SERVER_ERRORS), (response.status, text, path, body)  # fmt: skip
        numpy_models.server.requests.clear()

    without_growth(count, once)
    connection.close()
    assert {200, 400, 404, 405} <= set(seen)
    assert answers_still(numpy_models)


@pytest.mark.timeout(900)
@pytest.mark.parametrize("count", [FEW // 4, pytest.param(2_000, marks=pytest.mark.slow)])
def test_what_is_not_http_does_not_break_the_server(numpy_models, count):
    chance = random.Random(SEED)
    body = json.dumps(simple()).encode()
    good = b"POST /v2/models/simple/infer HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body) + body
    address = numpy_models.http.split(":")
    for _ in range(count):
        with socket.create_connection((address[0], int(address[1])), timeout=20) as peer:
            peer.sendall(spoiled(chance, good))
            peer.shutdown(socket.SHUT_WR)
            answer = b""
            while received := peer.recv(65536):
                answer += received
        assert answer[:9] in (b"", b"HTTP/1.1 ")
        assert not answer[9:10].startswith(b"5"), answer[:200]
    assert answers_still(numpy_models)


def simple_message() -> pb.ModelInferRequest:
    request = pb.ModelInferRequest(model_name="simple", id="f")
    for name in ("INPUT0", "INPUT1"):
        request.inputs.add(name=name, datatype="INT32", shape=[1, 16])
        request.raw_input_contents.append(struct.pack("<16i", *range(16)))
    request.outputs.add(name="OUTPUT0")
    return request


def mutated_message(chance: random.Random) -> pb.ModelInferRequest:
    """A request that is nearly right."""
    request = simple_message()
    for _ in range(chance.randrange(1, 4)):
        change_message(chance, request)
    return request


def change_message(chance: random.Random, request: pb.ModelInferRequest) -> None:
    """Change one thing about it."""
    item = chance.choice(list(request.inputs) or [request.inputs.add()])
    parameters = chance.choice([request.parameters, item.parameters, request.outputs[0].parameters])
    chance.choice([
        lambda: setattr(request, "model_name", chance.choice(MODELS)),
        lambda: setattr(request, "model_version", chance.choice(["", "1", "0", "-1", "x", "9" * 30, "é"])),
        lambda: setattr(item, "name", chance.choice(["INPUT0", "", "X", "é"])),
        lambda: setattr(item, "datatype", chance.choice(["INT32", "FP32", "BYTES", "BOOL", "BF16", "", "WAT"])),
        lambda: item.shape.append(chance.choice([0, 1, -1, -5, 2**40, 2**62])),
        lambda: item.shape.__delitem__(slice(None)),
        lambda: item.contents.int_contents.extend([1] * chance.randrange(20)),
        lambda: item.contents.bytes_contents.append(chance.randbytes(4)),
        lambda: request.raw_input_contents.append(chance.randbytes(chance.randrange(100))),
        lambda: request.raw_input_contents.__delitem__(slice(chance.randrange(3), None)),
        lambda: setattr(request.outputs[0], "name", chance.choice(["OUTPUT1", "", "X"])),
        lambda: setattr(parameters[chance.choice(KEYS)], *chance.choice([
            ("bool_param", True), ("int64_param", chance.choice([-1, 0, 2**62])), ("string_param", "x"),
            ("double_param", float("nan")), ("uint64_param", 2**64 - 1)])),
    ])()  # fmt: skip


@pytest.mark.timeout(900)
@pytest.mark.parametrize("count", [FEW, MANY])
def test_malformed_grpc_requests_are_the_clients_fault(numpy_models, count):
    chance = random.Random(SEED)
    seen: Counter[grpc.StatusCode] = Counter()
    allowed = {
        grpc.StatusCode.OK,
        grpc.StatusCode.INVALID_ARGUMENT,
        grpc.StatusCode.NOT_FOUND,
        grpc.StatusCode.UNIMPLEMENTED,
    }
    with grpc.insecure_channel(numpy_models.grpc) as channel:
        infer = channel.unary_unary(
            "/inference.GRPCInferenceService/ModelInfer", response_deserializer=pb.ModelInferResponse.FromString
        )

        def once() -> None:
            message = mutated_message(chance).SerializeToString()
            code, text = _call(infer, spoiled(chance, message) if chance.random() < 0.2 else message)
            assert code in allowed, (code, text)
            seen[code] += 1
            numpy_models.server.requests.clear()

        without_growth(count, once)
        assert allowed <= set(seen)
        assert _call(infer, simple_message().SerializeToString())[0] == grpc.StatusCode.OK


def _call(infer: grpc.UnaryUnaryMultiCallable, message: bytes) -> tuple[grpc.StatusCode, str]:
    try:
        infer(message, timeout=20)
    except grpc.RpcError as error:
        return error.code(), error.details() or ""
    return grpc.StatusCode.OK, ""
