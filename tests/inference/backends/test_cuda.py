"""Models on a GPU, where there is one."""

from __future__ import annotations

import asyncio
from pathlib import Path

import numpy as np
import pytest

from bento.inference.core.devices import usable_gpus
from bento.inference.core.messages import InferRequest
from bento.inference.core.options import ServerOptions
from tests.inference.model_folders import write_add_sub, write_identity
from tests.inference.running_servers import StartServer

pytestmark = pytest.mark.gpu

needs_onnxruntime = pytest.mark.skipif(
    not usable_gpus("onnxruntime", ServerOptions(repositories=())),
    reason="needs a CUDA device and an onnxruntime with CUDA",
)


@needs_onnxruntime
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


@needs_onnxruntime
@pytest.mark.parametrize("datatype", ["FP32", "FP16", "BF16", "BOOL", "INT64", "BYTES"])
async def test_values_pass_unchanged_over_the_gpu(datatype: str, repository: Path, start_server: StartServer) -> None:
    from bento.inference.core.datatypes import NUMPY_TYPES

    write_identity(repository, "same", datatype)
    text = np.array([[b"a", b"bc"]], np.object_)
    given = text if datatype == "BYTES" else np.array([[1, 2]]).astype(NUMPY_TYPES[datatype])
    response = await (await start_server(device="cuda")).infer(InferRequest("same", {"X": given}))
    assert response.outputs["Y"].tolist() == given.tolist()


@needs_onnxruntime
async def test_the_cpu_is_used_when_it_is_asked_for(repository: Path, start_server: StartServer) -> None:
    write_add_sub(repository)
    server = await start_server(device="cpu")
    assert server.model_devices() == {"simple": "cpu"}


@needs_onnxruntime
async def test_only_the_outputs_asked_for_leave_the_gpu_and_shapes_may_change(
    repository: Path, start_server: StartServer
) -> None:
    write_add_sub(repository, config="max_batch_size: 8")
    server = await start_server(device="cuda")
    for rows in (1, 5, 2):
        inputs = {"INPUT0": np.full((rows, 16), 7, np.int32), "INPUT1": np.full((rows, 16), rows, np.int32)}
        response = await server.infer(InferRequest("simple", inputs, requested_outputs=("OUTPUT1",)))
        assert list(response.outputs) == ["OUTPUT1"]
        assert response.outputs["OUTPUT1"].tolist() == [[7 - rows] * 16] * rows


async def test_torchscript_runs_on_the_gpu(repository: Path, start_server: StartServer) -> None:
    torch = pytest.importorskip("torch", reason="needs torch")
    if not torch.cuda.is_available():
        pytest.skip("needs a CUDA device and a torch with CUDA")
    from tests.inference.backends.torch_models import CONFIG, DifferenceAndSum, request, write_torch

    write_torch(repository, "torch", DifferenceAndSum(), f"{CONFIG} instance_group [{{ kind: KIND_GPU }}]")
    server = await start_server(device="auto")
    assert server.model_devices()["torch"].startswith("cuda:0")
    responses = await asyncio.gather(*(server.infer(request(number, 1)) for number in range(20)))
    for number, response in enumerate(responses):
        assert response.outputs["sum"].tolist() == [[number + 1] * 3] * 2
