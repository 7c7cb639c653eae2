"""TorchScript models answer like the modules they were made from."""

from __future__ import annotations

import asyncio
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from bento.inference.backends import opening
from bento.inference.backends.interface import ModelSource, OpenedModel
from bento.inference.core.errors import BackendFailed, RepositoryFailed
from bento.inference.core.messages import InferRequest
from tests.inference.model_folders import write_add_constant
from tests.inference.running_servers import StartServer

torch = pytest.importorskip("torch", reason="needs torch")
TorchModel = pytest.importorskip("bento.inference.backends.pytorch_backend").TorchModel


from tests.inference.backends.torch_models import (  # noqa: E402 - needs torch
    CONFIG,
    DifferenceAndSum,
    request,
    write_torch,
)


async def test_it_answers_like_its_module(repository: Path, start_server: StartServer) -> None:
    write_torch(repository, "torch", DifferenceAndSum(), CONFIG)
    server = await start_server()
    response = await server.infer(request(5, 3))
    assert response.outputs["difference"].tolist() == [[2] * 3] * 2
    assert response.outputs["sum"].tolist() == [[8] * 3] * 2
    assert server.model_devices() == {"torch": "cpu"}


async def test_inputs_find_their_arguments_by_name(repository: Path, start_server: StartServer) -> None:
    swapped = CONFIG.replace('"a"', '"?"').replace('"b"', '"a"').replace('"?"', '"b"')
    write_torch(repository, "torch", DifferenceAndSum(), swapped)
    response = await (await start_server()).infer(request(5, 3, reverse=True))
    assert response.outputs["difference"].tolist() == [[2] * 3] * 2


async def test_inputs_and_outputs_may_be_numbered(repository: Path, start_server: StartServer) -> None:
    """Listed the wrong way round: the index behind the two underscores decides."""
    numbered = """
        backend: "pytorch"
        max_batch_size: 8
        input [{ name: "INPUT__1" data_type: TYPE_FP32 dims: 3 }, { name: "INPUT__0" data_type: TYPE_FP32 dims: 3 }]
        output [{ name: "OUT__1" data_type: TYPE_FP32 dims: 3 }, { name: "OUT__0" data_type: TYPE_FP32 dims: 3 }]
    """
    write_torch(repository, "torch", DifferenceAndSum(), numbered)
    inputs = {"INPUT__0": np.full((1, 3), 5, np.float32), "INPUT__1": np.full((1, 3), 3, np.float32)}
    response = await (await start_server()).infer(InferRequest("torch", inputs))
    assert response.outputs["OUT__0"].tolist() == [[2] * 3]
    assert response.outputs["OUT__1"].tolist() == [[8] * 3]


async def test_a_batch_is_cut_apart_again(repository: Path, start_server: StartServer) -> None:
    write_torch(repository, "torch", DifferenceAndSum(), CONFIG)
    server = await start_server()
    responses = await asyncio.gather(*(server.infer(request(number, 1)) for number in range(50)))
    assert [float(response.outputs["sum"][0, 0]) for response in responses] == [number + 1 for number in range(50)]


async def test_read_only_inputs_are_left_alone(repository: Path, start_server: StartServer) -> None:
    write_torch(repository, "torch", DifferenceAndSum(), CONFIG)
    asked = request(5, 3)
    for array in asked.inputs.values():
        array.flags.writeable = False
    response = await (await start_server()).infer(asked)
    assert response.outputs["sum"].tolist() == [[8] * 3] * 2


async def test_a_failing_module_is_told(repository: Path, start_server: StartServer) -> None:
    write_torch(repository, "torch", DifferenceAndSum(), CONFIG.replace("dims: [ 3 ]", "dims: [ -1 ]"))
    inputs = {"a": np.zeros((1, 3), np.float32), "b": np.zeros((1, 4), np.float32)}
    server = await start_server()
    with pytest.raises(BackendFailed, match="PyTorch execute failure"):
        await server.infer(InferRequest("torch", inputs))


async def test_a_configuration_without_tensors_is_refused(repository: Path, start_server: StartServer) -> None:
    write_torch(repository, "torch", DifferenceAndSum(), 'platform: "pytorch_libtorch"')
    with pytest.raises(RepositoryFailed, match="must specify input and output of a TorchScript model"):
        await start_server()


async def test_a_file_that_is_no_module_is_refused(repository: Path, start_server: StartServer) -> None:
    folder = write_torch(repository, "torch", DifferenceAndSum(), CONFIG)
    (folder / "1" / "model.pt").write_bytes(b"no module")
    with pytest.raises(RepositoryFailed, match="failed to load model 'torch'"):
        await start_server()


async def test_without_torch_the_model_is_unavailable_and_the_rest_is_ready(
    repository: Path, start_server: StartServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_torch(repository, "torch", DifferenceAndSum(), CONFIG)
    write_add_constant(repository, "plus", 1.0)
    monkeypatch.delitem(sys.modules, "bento.inference.backends.pytorch_backend", raising=False)
    monkeypatch.setitem(sys.modules, "torch", None)
    server = await start_server(exit_on_error=False)
    assert server.is_ready()
    assert not server.is_model_ready("torch")
    reason = next(row["reason"] for row in server.repository_index() if row["name"] == "torch")
    assert reason.startswith("Unavailable: backend 'pytorch' needs torch, which is not installed")


async def test_a_deferred_model_is_ready_before_torch_and_answers_the_same(
    repository: Path, start_server: StartServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_torch(repository, "torch", DifferenceAndSum(), CONFIG)
    may_import = threading.Event()

    def open_late(source: ModelSource) -> OpenedModel:
        assert may_import.wait(30)
        return TorchModel(source)

    monkeypatch.setattr(opening, "_open_pytorch", open_late)
    server = await start_server(defer_pytorch=True)
    assert server.is_ready()
    assert server.model_devices() == {"torch": "cpu"}
    waiting = asyncio.create_task(server.infer(request(5, 3)))
    await asyncio.sleep(0)
    assert not waiting.done()
    may_import.set()
    assert (await waiting).outputs["sum"].tolist() == [[8] * 3] * 2


async def test_a_deferred_model_that_does_not_load_says_so_to_every_request(
    repository: Path, start_server: StartServer
) -> None:
    folder = write_torch(repository, "torch", DifferenceAndSum(), CONFIG)
    (folder / "1" / "model.pt").write_bytes(b"no module")
    server = await start_server(defer_pytorch=True)
    for _ in range(2):
        with pytest.raises(BackendFailed, match="failed to load model 'torch'"):
            await server.infer(request(5, 3))
