"""The door to the fast path: off it is not even imported, and where a part is missing the ordinary way serves."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import onnxruntime
import pytest
import structlog
import uvicorn.protocols.http.httptools_impl as httptools_impl

from bento.inference.backends import onnxruntime_fast
from bento.inference.over_http import connections
from bento.inference.over_http.fast import requirements
from bento.inference.over_http.ordinary_protocol import OrdinaryProtocol
from bento.inference.protocol.front_end import FrontEndState
from tests.inference.model_folders import write_add_sub
from tests.inference.numpy_server import NumpyServer

SERVED_WITHOUT = """
import asyncio, sys
import numpy as np
from pathlib import Path
from bento.inference.core.messages import InferRequest
from bento.inference.core.options import ServerOptions
from bento.inference.over_grpc.service import start_grpc
from bento.inference.over_http.application import make_http_app
from bento.inference.over_http.connections import infer_connections, plain_connections, use_in_uvicorn
from bento.inference.over_http.ordinary_protocol import OrdinaryProtocol
from bento.inference.protocol.front_end import FrontEndState
from bento.inference.server import InferenceServer

async def main():
    server = await InferenceServer.start(ServerOptions((Path(sys.argv[1]),), device="cpu", fast_path=False))
    state = FrontEndState()
    make_http_app(server, state=state)
    plain = plain_connections(server.options)
    assert infer_connections(server, state, 1000) is plain
    use_in_uvicorn(lambda: plain)
    grpc_server, _ = await start_grpc(server, "127.0.0.1", 0, state=state)
    ones = np.ones((1, 16), np.int32)
    answer = await server.infer(InferRequest("simple", {"INPUT0": ones, "INPUT1": ones}))
    assert answer.outputs["OUTPUT0"].tolist() == [[2] * 16]
    await grpc_server.stop(None)
    await server.close()

asyncio.run(main())
print([name for name in sys.modules if "over_http.fast." in name or name.endswith(("_fast", "fast_messages"))])
"""


def test_off_nothing_of_it_is_imported(tmp_path: Path) -> None:
    write_add_sub(tmp_path)
    done = subprocess.run(
        [sys.executable, "-c", SERVED_WITHOUT, str(tmp_path)], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout.splitlines()[-1:]) == (0, ["[]"]), done.stderr


def test_it_was_proven_on_the_versions_that_are_installed() -> None:
    proven = {**requirements.PROVEN_ON, **onnxruntime_fast.PROVEN_ON}
    installed = {name: version(name) for name in requirements.PROVEN_ON}
    assert proven == {**installed, "onnxruntime": onnxruntime.__version__}


def test_nothing_is_missing_here() -> None:
    assert requirements.missing_parts() == []


@pytest.mark.parametrize(
    ("holder", "name", "missing"),
    [
        (httptools_impl, "STATUS_LINE", ["uvicorn.protocols.http.httptools_impl.STATUS_LINE"]),
        (httptools_impl.HttpToolsProtocol, "on_response_complete", ["HttpToolsProtocol.on_response_complete"]),
    ],
)
def test_a_part_that_is_gone_is_named(
    monkeypatch: pytest.MonkeyPatch, holder: Any, name: str, missing: list[str]
) -> None:
    monkeypatch.delattr(holder, name)
    assert requirements.missing_parts() == missing


def test_an_attribute_that_a_constructor_no_longer_sets_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def constructor(self: Any) -> None:
        self.keep_alive = True

    monkeypatch.setattr(httptools_impl.RequestResponseCycle, "__init__", constructor)
    assert requirements.missing_parts() == ["RequestResponseCycle.response_complete"]


def test_without_a_part_uvicorn_serves_and_one_line_tells(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(httptools_impl, "STATUS_LINE")
    connections.is_possible.cache_clear()
    server: Any = NumpyServer()
    try:
        with structlog.testing.capture_logs() as lines:
            assert connections.infer_connections(server, FrontEndState(), 1000) is OrdinaryProtocol
            assert connections.plain_connections(server.options) is OrdinaryProtocol
        assert [line["missing"] for line in lines] == [["uvicorn.protocols.http.httptools_impl.STATUS_LINE"]]
    finally:
        connections.is_possible.cache_clear()


class Session:
    """An onnxruntime session with none but its public methods."""

    def io_binding(self) -> object:
        return object()


def test_a_session_without_its_private_parts_has_no_shorter_ways_and_one_line_tells() -> None:
    session: Any = Session()
    with structlog.testing.capture_logs() as lines:
        assert [onnxruntime_fast.fast_session(session) for _ in range(2)] == [None, None]
    assert [line["missing"] for line in lines] == [("_sess.run", "_sess.run_with_iobinding", "_iobinding")]
