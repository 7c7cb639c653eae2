"""`python -m bento.inference` as people start it: ports, table, flags, errors, and an orderly end."""

from __future__ import annotations

import http.client
import json
import re
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path
from typing import Any

import grpc
import pytest
import typer
from grpc_health.v1 import health_pb2, health_pb2_grpc
from tritonclient.grpc import service_pb2 as pb
from tritonclient.grpc import service_pb2_grpc
from typer.testing import CliRunner

from bento.inference.__main__ import app
from bento.inference.refused_flags import REFUSED
from bento.inference.standalone import ListenOptions
from tests.held_model import Hold
from tests.inference.model_folders import X_TO_Y, write_python
from tests.inference.onnx_models import write_repository
from tests.inference.server_process import Started, failed, started

X_AS_Y = """\
import triton_python_backend_utils as pb_utils

class TritonPythonModel:
    def execute(self, requests):
        inputs = [pb_utils.get_input_tensor_by_name(request, "X").as_numpy() for request in requests]
        return [pb_utils.InferenceResponse([pb_utils.Tensor("Y", values)]) for values in inputs]
"""
"""Answers Y = X."""


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("models")
    write_repository(root)
    return root


def get(port: int, path: str, **headers: str) -> tuple[int, str]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        connection.request("GET", path, headers=headers)
        response = connection.getresponse()
        return response.status, response.read().decode()
    finally:
        connection.close()


def test_it_serves_http_grpc_and_metrics_and_ends_when_told(models):
    with started(f"--model-repository={models}", "--log-verbose", "1") as server:
        port = server.port("HTTPService")
        assert get(port, "/v2/health/ready")[0] == 200
        with grpc.insecure_channel(f"127.0.0.1:{server.port('GRPCInferenceService')}") as channel:
            stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
            assert stub.ModelReady(pb.ModelReadyRequest(name="simple")).ready
        status, text = get(server.port("Metrics Service"), "/metrics")
        assert status == 200
        assert 'nv_inference_request_success{model="simple",version="1"}' in text
        assert get(server.port("Metrics Service"), "/nope")[0] == 404
        server.wait_for(r"\| simple +\| 1 +\| READY +\|")
        server.wait_for(r'D\d{4} [\d:.]+ \d+ application.py:\d+\] "HTTP request: GET /v2/health/ready"')
        assert server.end() == 0
        server.wait_for("Signal received, waiting for in-flight requests to complete")


def test_after_a_signal_it_is_not_ready_and_answers_until_a_second_signal_ends_it(models):
    """The drain would take 20 s; the second signal is sent until it is taken for one, and not for the first."""
    with started(f"--model-repository={models}", "--drain-secs=20") as server:
        port = server.port("HTTPService")
        server.process.send_signal(signal.SIGTERM)
        server.wait_for("Signal received")
        for path, status in (("/v2/health/ready", 400), ("/v2/health/live", 200), ("/v2/models/simple", 200)):
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
            connection.request("GET", path)
            response = connection.getresponse()
            assert (response.status, response.getheader("connection")) == (status, "close")
            connection.close()
        with grpc.insecure_channel(server.grpc) as channel:
            stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
            assert not stub.ServerReady(pb.ServerReadyRequest()).ready
            assert stub.ModelReady(pb.ModelReadyRequest(name="simple")).ready
            health = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest())
            assert health.status == health_pb2.HealthCheckResponse.NOT_SERVING
        while server.process.poll() is None:
            server.process.send_signal(signal.SIGTERM)
            time.sleep(0.05)
        assert server.process.returncode == -signal.SIGTERM


def test_a_request_in_flight_is_answered_when_nothing_is_accepted_any_more(tmp_path):
    hold = Hold(tmp_path)
    write_python(tmp_path / "models", "held", X_TO_Y, hold.holding(X_AS_Y))
    hold.begin()
    body = json.dumps({"inputs": [{"name": "X", "datatype": "FP32", "shape": [1], "data": [2.5]}]})
    with started(f"--model-repository={tmp_path}/models", "--trust-python-models", "--drain-secs=0.2") as server:
        connection = http.client.HTTPConnection("127.0.0.1", server.port("HTTPService"), timeout=60)
        connection.request("POST", "/v2/models/held/infer", body)
        hold.wait_until_entered()
        server.process.send_signal(signal.SIGTERM)
        until_refused(server.port("HTTPService"))
        hold.release()
        response = connection.getresponse()
        assert (response.status, response.getheader("connection")) == (200, "close")
        assert json.loads(response.read())["outputs"][0]["data"] == [2.5]
        assert server.process.wait(30) == 0


def until_refused(port: int) -> None:
    deadline_s = time.monotonic() + 60
    while time.monotonic() < deadline_s:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=20).close()
        except ConnectionRefusedError:
            return
        time.sleep(0.02)
    pytest.fail("connections are still accepted")


def test_every_kind_of_answer_reaches_the_client(models):
    """Alone the server writes answers in its own way: without body, with 100 Continue, pipelined, over an error."""
    body = b'{"parameters":{}}'
    asks = [
        b"HEAD /v2 HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /v2/health/live HTTP/1.1\r\nHost: x\r\n\r\n",
        b"POST /v2/repository/index HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 17\r\n\r\n" + body,
        b"GET /v2/models/nope HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    ]
    with started(f"--model-repository={models}", "--model-control-mode=explicit", "--allow-grpc=false") as server:
        with socket.create_connection(("127.0.0.1", server.port("HTTPService")), timeout=20) as client:
            client.sendall(b"".join(asks))
            received = b""
            while part := client.recv(65536):
                received += part
        assert re.findall(rb"HTTP/1.1 (\d+)", received) == [b"405", b"200", b"100", b"200", b"404"]
        assert received.endswith(b'{"error":"Request for unknown model: \'nope\' is not found"}')


def certificates(folder: Path) -> None:
    """A root that signs the certificates of a server on 127.0.0.1 and of a client: NAME.crt and NAME.key."""
    if shutil.which("openssl") is None:
        pytest.skip("needs openssl, which makes certificates")
    for name in ("root", "server", "client"):
        signed = [] if name == "root" else ["-CA", "root.crt", "-CAkey", "root.key"]
        files = ["-keyout", f"{name}.key", "-out", f"{name}.crt"]
        names = ["-subj", f"/CN={name}", "-addext", "subjectAltName=IP:127.0.0.1"]
        command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", *files, *names, *signed]
        subprocess.run(command, cwd=folder, check=True, capture_output=True)


def secure_stub(server: Started, folder: Path, *, client: bool) -> tuple[grpc.Channel, Any]:
    """A channel that trusts the root, with or without a certificate of its own."""
    own = [(folder / f"client.{kind}").read_bytes() for kind in ("key", "crt")] if client else [None, None]
    credentials = grpc.ssl_channel_credentials((folder / "root.crt").read_bytes(), *own)
    channel = grpc.secure_channel(f"127.0.0.1:{server.port('GRPCInferenceService')}", credentials)
    return channel, service_pb2_grpc.GRPCInferenceServiceStub(channel)


@pytest.mark.parametrize("mutual", [False, True])
def test_grpc_is_encrypted_for_those_who_are_to_speak_it(models, tmp_path, mutual):
    certificates(tmp_path)
    flags = [f"--grpc-server-cert={tmp_path}/server.crt", f"--grpc-server-key={tmp_path}/server.key",
             f"--grpc-root-cert={tmp_path}/root.crt", f"--grpc-use-ssl{'-mutual' if mutual else ''}=true"]  # fmt: skip
    with started(f"--model-repository={models}", *flags, "--allow-http=false", "--allow-metrics=false") as server:
        for client in (True, False):
            channel, stub = secure_stub(server, tmp_path, client=client)
            with channel:
                code, _ = answered(stub.ServerLive, pb.ServerLiveRequest())
            assert code is (grpc.StatusCode.OK if client or not mutual else grpc.StatusCode.UNAVAILABLE)
        with grpc.insecure_channel(f"127.0.0.1:{server.port('GRPCInferenceService')}") as channel:
            plain = service_pb2_grpc.GRPCInferenceServiceStub(channel)
            assert answered(plain.ServerLive, pb.ServerLiveRequest())[0] is grpc.StatusCode.UNAVAILABLE


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--grpc-use-ssl=true"], "TLS for gRPC needs --grpc-server-key=FILE"),
        (["--grpc-use-ssl=true", "--grpc-server-key=/no/file"], "--grpc-server-key=/no/file: No such file"),
        (["--http-thread-count=8"], "--http-thread-count is not honoured by this server: requests are read by one"),
        (["--trace-config", "level=TIMESTAMPS"], "--trace-config is not honoured by this server: traces are not"),
        (["--backend-config=python,x=1"], "--backend-config is not honoured by this server"),
    ],
)
def test_what_cannot_be_honoured_is_refused_by_name(models, flags, message):
    result = CliRunner().invoke(app, [f"--model-repository={models}", *flags], env={"COLUMNS": "300"})
    assert result.exit_code == 2
    assert message in result.output


def test_no_flag_is_both_refused_and_taken():
    taken = {flag for parameter in typer.main.get_command(app).params for flag in parameter.opts}
    assert taken.isdisjoint(REFUSED)


ECHO = """
    import json
    import numpy as np
    import triton_python_backend_utils as pb_utils

    class TritonPythonModel:
        def execute(self, requests):
            told = [json.dumps(json.loads(request.parameters()), sort_keys=True).encode() for request in requests]
            return [pb_utils.InferenceResponse([pb_utils.Tensor("Y", np.array([one], np.object_))]) for one in told]
"""
ECHO_CONFIG = """
    input { name: "X" data_type: TYPE_INT32 dims: 1 }
    output { name: "Y" data_type: TYPE_STRING dims: 1 }
"""


def test_headers_that_are_to_reach_the_model_are_parameters(tmp_path):
    write_python(tmp_path, "echo", ECHO_CONFIG, ECHO)
    value = {
        "inputs": [{"name": "X", "datatype": "INT32", "shape": [1], "data": [1]}],
        "parameters": {"a": 1, "x-a": 5},
    }
    body = json.dumps(value).encode()
    head = "POST /v2/models/echo/infer HTTP/1.1\r\nHost: h\r\nX-Abc: 1\r\nx-a: 2\r\nOther: 3\r\n"
    request = f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body
    message = pb.ModelInferRequest(model_name="echo")
    message.inputs.add(name="X", datatype="INT32", shape=[1]).contents.int_contents.append(1)
    metadata = (("x-a", "2"), ("b-x-c", "4"), ("other", "3"))
    flags = ["--trust-python-models", "--http-header-forward-pattern=x-a", "--grpc-header-forward-pattern", "x-.*"]
    with started(f"--model-repository={tmp_path}", *flags, "--allow-metrics=false") as server:
        received = received_for(server.port("HTTPService"), request + LAST)
        (told,) = json.loads(re.findall(rb"\r\n\r\n(\{.*?\})HTTP", received)[0])["outputs"][0]["data"]
        assert json.loads(told) == {"a": 1, "x-abc": "1", "x-a": "2"}
        with grpc.insecure_channel(f"127.0.0.1:{server.port('GRPCInferenceService')}") as channel:
            stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
            answers = [stub.ModelInfer(message, metadata=metadata, timeout=20)]
            streamed = stub.ModelStreamInfer(iter([message]), metadata=metadata, timeout=20)
            answers += [answer.infer_response for answer in streamed]
    for answer in answers:
        assert json.loads(answer.raw_output_contents[0][4:]) == {"x-a": "2", "b-x-c": "4"}
    assert len(answers) == 2


def test_a_pattern_that_is_none_is_refused(models):
    flags = [f"--model-repository={models}", "--http-header-forward-pattern=("]
    result = CliRunner().invoke(app, flags, env={"COLUMNS": "300"})
    assert result.exit_code == 2
    assert "'(' is no regular expression" in result.output


def test_clients_register_no_memory_where_they_may_not(models):
    flags = ["--allow-client-shm=false", "--allow-grpc=false", "--allow-metrics=false"]
    body = b'{"key": "/none", "byte_size": 4}'
    head = f"POST /v2/systemsharedmemory/region/r/register HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
    with started(f"--model-repository={models}", *flags) as server:
        received = received_for(server.port("HTTPService"), head.encode() + body + LAST)
    assert received.startswith(b"HTTP/1.1 501 ")
    assert b"shared memory of clients is not allowed here (--allow-client-shm=false)" in received


def answered(call, request, *metadata: tuple[str, str]) -> tuple[grpc.StatusCode, str]:
    try:
        call(request, metadata=metadata, timeout=20)
    except grpc.RpcError as error:
        return error.code(), error.details()
    return grpc.StatusCode.OK, ""


def test_restricted_apis_ask_for_their_header(models):
    flags = [
        "--http-restricted-api=model-config,inference:admin-key=secret", "--http-restricted-api=statistics:other=x",
        "--grpc-restricted-protocol=health,inference:admin-key=secret",
    ]  # fmt: skip
    paths = {
        "/v2/models/simple/config": "admin-key",
        "/v2/models/simple/infer": "admin-key",
        "/v2/models/stats": "other",
    }
    with started(f"--model-repository={models}", *flags, "--allow-metrics=false") as server:
        for path, header in paths.items():
            expected = {"error": f"This API is restricted, expecting header '{header}'"}
            for given in ({}, {header: "wrong"}):
                status, text = get(server.port("HTTPService"), path, **given)
                assert (status, json.loads(text)) == (403, expected)
            value = {"admin-key": "secret", "other": "x"}[header]
            assert get(server.port("HTTPService"), path, **{header: value})[0] in (200, 405)
        assert get(server.port("HTTPService"), "/v2/models/simple")[0] == 200
        text = "This protocol is restricted, expecting header 'triton-grpc-protocol-admin-key'"
        with grpc.insecure_channel(f"127.0.0.1:{server.port('GRPCInferenceService')}") as channel:
            stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
            refused = (grpc.StatusCode.UNAVAILABLE, text)
            right = ("triton-grpc-protocol-admin-key", "secret")
            assert answered(stub.ServerLive, pb.ServerLiveRequest()) == refused
            assert answered(stub.ServerLive, pb.ServerLiveRequest(), ("admin-key", "secret")) == refused
            assert answered(stub.ServerLive, pb.ServerLiveRequest(), right)[0] is grpc.StatusCode.OK
            assert answered(stub.ModelInfer, pb.ModelInferRequest(model_name="nope")) == refused
            assert answered(stub.ModelInfer, pb.ModelInferRequest(model_name="nope"), right)[0] is (
                grpc.StatusCode.NOT_FOUND
            )
            assert answered(stub.ServerMetadata, pb.ServerMetadataRequest())[0] is grpc.StatusCode.OK


LAST = b"GET /v2 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
"""After its answer the server closes the connection."""


def received_for(port: int, data: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", port), timeout=20) as client:
        client.sendall(data)
        return b"".join(iter(lambda: client.recv(65536), b""))


def test_a_restricted_inference_is_not_answered_before_its_header_is_seen(models):
    body = json.dumps({"inputs": [
        {"name": name, "shape": [1, 16], "datatype": "INT32", "parameters": {"binary_data_size": 64}}
        for name in ("INPUT0", "INPUT1")]}).encode()  # fmt: skip
    lengths = f"Content-Length: {len(body) + 128}\r\nInference-Header-Content-Length: {len(body)}\r\n"
    request = f"POST /v2/models/simple/infer HTTP/1.1\r\nHost: x\r\n{lengths}\r\n".encode() + body + bytes(128)
    flags = ["--http-restricted-api=inference:admin-key=secret", "--allow-grpc=false", "--allow-metrics=false"]
    with started(f"--model-repository={models}", *flags) as server:
        received = received_for(server.port("HTTPService"), request * 5 + LAST)
    assert re.findall(rb"HTTP/1.1 (\d+)", received) == [b"403"] * 5 + [b"200"]


@pytest.mark.parametrize(
    ("flag", "message"),
    [
        ("--http-restricted-api=model-config", "expected API[,API]:HEADER=VALUE"),
        ("--http-restricted-api=everything:k=v", "unknown API 'everything'"),
        ("--grpc-restricted-protocol=trace,trace:k=v", "API 'trace' is restricted twice"),
    ],
)
def test_restrictions_that_say_nothing_are_refused(models, flag, message):
    result = CliRunner().invoke(app, [f"--model-repository={models}", flag], env={"COLUMNS": "200"})
    assert result.exit_code == 2
    assert message in result.output


def test_explicit_control_loads_what_is_named(models):
    flags = ["--model-control-mode=explicit", "--load-model=simple", "--load-model", "classifier", "--id=marquee"]
    with started(f"--model-repository={models}", *flags, "--allow-grpc=false", "--allow-metrics=false") as server:
        port = server.port("HTTPService")
        assert json.loads(get(port, "/v2")[1])["name"] == "marquee"
        assert get(port, "/v2/models/simple/ready")[0] == 200
        assert get(port, "/v2/models/classifier/ready")[0] == 200
        assert get(port, "/v2/models/identity_fp32/ready")[0] == 400
        assert "GRPC" not in server.text


def test_polling_follows_the_folder(models, tmp_path):
    shutil.copytree(models / "simple", tmp_path / "simple")
    flags = ["--model-control-mode=poll", "--repository-poll-secs=0.1", "--allow-grpc=false", "--allow-metrics=false"]
    with started(f"--model-repository={tmp_path}", *flags) as server:
        port = server.port("HTTPService")
        assert get(port, "/v2/models/classifier/ready")[0] == 400
        shutil.copytree(models / "classifier", tmp_path / "arriving")
        (tmp_path / "arriving").rename(tmp_path / "classifier")
        server.wait_for("model is ready: model='classifier'")
        assert get(port, "/v2/models/classifier/ready")[0] == 200
        shutil.rmtree(tmp_path / "simple")
        deadline_s = time.monotonic() + 30  # nothing is said of it; a look every 0.1 s on a machine that may be busy
        while get(port, "/v2/models/simple/ready")[0] == 200:
            assert time.monotonic() < deadline_s


@pytest.mark.parametrize(("strict", "status"), [("true", 400), ("false", 200)])
def test_a_broken_model_stops_the_start_or_is_left_out(models, tmp_path, strict, status):
    shutil.copytree(models / "simple", tmp_path / "simple")
    shutil.copytree(models / "classifier", tmp_path / "classifier")
    (tmp_path / "classifier" / "1" / "model.onnx").write_bytes(b"no model")
    if strict == "true":
        code, text = failed(f"--model-repository={tmp_path}")
        assert code == 1
        assert "error: creating server" in text
    flags = ["--exit-on-error=false", f"--strict-readiness={strict}", "--allow-grpc=false", "--allow-metrics=false"]
    with started(f"--model-repository={tmp_path}", *flags) as server:
        port = server.port("HTTPService")
        assert get(port, "/v2/health/ready")[0] == status
        assert get(port, "/v2/models/simple/ready")[0] == 200
        assert get(port, "/v2/models/classifier/ready")[0] == 400


def test_python_models_need_trust(tmp_path):
    model = tmp_path / "python_model" / "1"
    model.mkdir(parents=True)
    (model / "model.py").write_text("raise RuntimeError('never run')")
    (tmp_path / "python_model" / "config.pbtxt").write_text(
        'backend: "python" input { name: "I" data_type: TYPE_FP32 dims: [ 1 ] } '
        'output { name: "O" data_type: TYPE_FP32 dims: [ 1 ] }'
    )
    code, text = failed(f"--model-repository={tmp_path}")
    assert code == 1
    assert "start with --trust-python-models if you trust the code in this repository" in text
    assert "never run" not in text


@pytest.mark.parametrize("service", ["http", "grpc"])
def test_a_port_that_is_taken_stops_the_start(models, service):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        flags = [f"--model-repository={models}", "--model-control-mode=explicit"]
        code, text = failed(*flags, f"--{service}-port={port}")
    assert code == 1
    assert "error: creating server" in text


@pytest.mark.parametrize(
    ("flags", "text"),
    [
        (["--strict-readiness=maybe"], "expected true or false, got 'maybe'"),
        (["--cache-config=redis,size=1"], "expected local,size=BYTES"),
        (["--model-control-mode=magic"], "magic"),
        (["--no-such-flag"], "No such option"),
        (["--model-repository=/nope/nope"], "does not exist"),
    ],
)
def test_a_wrong_flag_is_named(models, flags, text):
    result = CliRunner().invoke(app, [f"--model-repository={models}", *flags], env={"COLUMNS": "200"})
    assert result.exit_code == 2
    assert text in re.sub(r"[\s│]+", " ", result.output)


def test_bodies_and_messages_may_have_64_megabytes_unless_told_otherwise():
    listen = ListenOptions()
    assert listen.http_max_input_bytes == listen.grpc_max_message_bytes == 64 * 1024 * 1024
    options = {option.name: option.default for option in typer.main.get_command(app).params}
    assert options["http_max_input_size"] == options["grpc_max_message_size"] == 64 * 1024 * 1024
