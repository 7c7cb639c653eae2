"""Java's own HTTP client, which offers HTTP/2 with its requests, is answered like any other."""

from __future__ import annotations

from typing import Any

import pytest
import uvicorn.config

from bento.inference.over_http.application import make_http_app
from bento.inference.over_http.connections import plain_connections, use_in_uvicorn
from bento.inference.protocol.front_end import FrontEndState
from tests.inference.numpy_server import NumpyServer
from tests.inference.over_http.java_client import posted
from tests.inference.over_http.uvicorn_worker import worker

pytestmark = pytest.mark.java

PATH = "/v2/models/identity_int32/infer"
NUMBERS = range(20)
BODIES = [{"inputs": [{"name": "INPUT0", "shape": [1], "datatype": "INT32", "data": [n]}]} for n in NUMBERS]
EACH_TWICE = [(200, [n]) for n in NUMBERS for _ in range(2)]


def given(port: int) -> list[tuple[int, Any]]:
    return [
        (status, answer["outputs"][0]["data"]) for status, answer in posted(f"http://127.0.0.1:{port}{PATH}", *BODIES)
    ]


def test_a_java_program_gets_its_own_answers_from_the_inference_server(numpy_models):
    assert given(numpy_models.http_port) == EACH_TWICE


def test_a_java_program_gets_its_own_answers_from_a_worker_of_the_service(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(uvicorn.config, "HTTP_PROTOCOLS", dict(uvicorn.config.HTTP_PROTOCOLS))
    models: Any = NumpyServer()
    use_in_uvicorn(lambda: plain_connections(models.options))
    with worker(make_http_app(models, state=FrontEndState())) as wire:
        assert given(wire.socket.getpeername()[1]) == EACH_TWICE
