"""`python -m bento.inference` as people start it: ports, table, flags, errors, and an orderly end."""

from __future__ import annotations

import http.client
import json
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import grpc
import pytest
from tritonclient.grpc import service_pb2 as pb
from tritonclient.grpc import service_pb2_grpc
from typer.testing import CliRunner

from bento.inference.__main__ import app
from tests.inference.protocol.onnx_models import write_repository

LOOPBACK = [f"--{name}-address=127.0.0.1" for name in ("http", "grpc", "metrics")]
FREE_PORTS = [f"--{name}-port=0" for name in ("http", "grpc", "metrics")]


class Started:
    """A server process, and what it has written so far."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.text = ""
        self._grown = threading.Condition()
        assert process.stderr is not None
        threading.Thread(target=self._read, args=(process.stderr,), daemon=True).start()

    def _read(self, stream: IO[str]) -> None:
        for line in stream:
            with self._grown:
                self.text += line
                self._grown.notify_all()
        with self._grown:
            self._grown.notify_all()

    def wait_for(self, pattern: str) -> re.Match[str]:
        """The first match in what it writes."""
        with self._grown:
            found = self._grown.wait_for(lambda: re.search(pattern, self.text), timeout=60)
        assert found, self.text
        return found

    def port(self, service: str) -> int:
        return int(self.wait_for(rf"Started {service} at 127.0.0.1:(\d+)")[1])

    def end(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(30)


@contextmanager
def started(*flags: str) -> Iterator[Started]:
    command = [sys.executable, "-m", "bento.inference", *LOOPBACK, *FREE_PORTS, *flags]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield Started(process)
        finally:
            process.kill()


def failed(*flags: str) -> tuple[int, str]:
    command = [sys.executable, "-m", "bento.inference", *LOOPBACK, *FREE_PORTS, *flags]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    return done.returncode, done.stderr


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("models")
    write_repository(root)
    return root


def get(port: int, path: str) -> tuple[int, str]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        connection.request("GET", path)
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


def test_explicit_control_loads_what_is_named(models):
    flags = ["--model-control-mode=explicit", "--load-model=simple", "--load-model", "classifier", "--id=marquee"]
    with started(f"--model-repository={models}", *flags, "--allow-grpc=false", "--allow-metrics=false") as server:
        port = server.port("HTTPService")
        assert json.loads(get(port, "/v2")[1])["name"] == "marquee"
        assert get(port, "/v2/models/simple/ready")[0] == 200
        assert get(port, "/v2/models/classifier/ready")[0] == 200
        assert get(port, "/v2/models/identity_fp32/ready")[0] == 400
        assert "GRPC" not in server.text


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
