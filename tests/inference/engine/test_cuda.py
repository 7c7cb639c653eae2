"""Models on a GPU, where there is one."""

from __future__ import annotations

import asyncio
from pathlib import Path

import numpy as np
import pytest

from bento.inference.devices import usable_gpus
from bento.inference.messages import InferRequest
from bento.inference.options import ServerOptions

from .conftest import StartServer
from .model_folders import write_add_sub, write_identity

pytestmark = pytest.mark.gpu

if not usable_gpus("onnxruntime", ServerOptions(repositories=())):
    pytest.skip("needs a CUDA device and an onnxruntime with CUDA", allow_module_level=True)


async def test_an_auto_instance_group_runs_on_the_gpu(repository: Path, start_server: StartServer) -> None:
    write_add_sub(repository, config="max_batch_size: 8 dynamic_batching { } instance_group [{ kind: KIND_AUTO }]")
    server = await start_server(device="auto")
    assert server.model_devices()["simple"].startswith("cuda:0")
    assert server.model_config("simple").instance_group[0].kind == 1  # KIND_GPU

    async def ask(number: int) -> None:
        inputs = {"INPUT0": np.full((1, 16), number, np.int32), "INPUT1": np.ones((1, 16), np.int32)}
        response = await server.infer(InferRequest("simple", inputs))
        assert (response.outputs["OUTPUT0"] == number + 1).all()
        assert (response.outputs["OUTPUT1"] == number - 1).all()

    await asyncio.gather(*map(ask, range(200)))


@pytest.mark.parametrize("datatype", ["FP32", "FP16", "INT64", "BYTES"])
async def test_values_pass_unchanged_over_the_gpu(datatype: str, repository: Path, start_server: StartServer) -> None:
    from bento.inference.datatypes import NUMPY_TYPES

    write_identity(repository, "same", datatype)
    text = np.array([[b"a", b"bc"]], np.object_)
    given = text if datatype == "BYTES" else np.array([[1, 2]]).astype(NUMPY_TYPES[datatype])
    response = await (await start_server(device="cuda")).infer(InferRequest("same", {"X": given}))
    assert response.outputs["Y"].tolist() == given.tolist()


async def test_the_cpu_is_used_when_it_is_asked_for(repository: Path, start_server: StartServer) -> None:
    write_add_sub(repository)
    server = await start_server(device="cpu")
    assert server.model_devices() == {"simple": "cpu"}
