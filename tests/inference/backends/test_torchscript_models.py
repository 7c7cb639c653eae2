"""TorchScript models answer like the modules they were made from."""

from __future__ import annotations

import asyncio
import sys
import threading
from pathlib import Path
from textwrap import dedent

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


def write_script(repository: Path, name: str, source: type[torch.nn.Module], config: str) -> None:  # type: ignore[name-defined]
    (repository / name / "1").mkdir(parents=True)
    (repository / name / "config.pbtxt").write_text('backend: "pytorch"\n' + dedent(config))
    torch.jit.script(source()).save(str(repository / name / "1" / "model.pt"))


class SumOfADict(torch.nn.Module):  # type: ignore[misc, name-defined]
    def forward(self, tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:  # type: ignore[name-defined]
        return {"sum": tensors["a"] + tensors["b"], "difference": tensors["a"] - tensors["b"]}


async def test_a_module_may_take_and_return_a_dict(repository: Path, start_server: StartServer) -> None:
    write_script(repository, "torch", SumOfADict, CONFIG)
    response = await (await start_server()).infer(request(5, 3, reverse=True))
    assert response.outputs["sum"].tolist() == [[8] * 3] * 2
    assert response.outputs["difference"].tolist() == [[2] * 3] * 2


async def test_an_output_that_a_dict_has_not_is_named(repository: Path, start_server: StartServer) -> None:
    write_script(repository, "torch", SumOfADict, CONFIG.replace('"sum"', '"total"'))
    server = await start_server()
    with pytest.raises(BackendFailed, match="the output 'total', the model returned a dict of 'sum', 'difference'"):
        await server.infer(request(5, 3))


class Words(torch.nn.Module):  # type: ignore[misc, name-defined]
    def forward(self, numbers: torch.Tensor) -> list[str]:  # type: ignore[name-defined]
        return ["even" if int(row[0]) % 2 == 0 else "odd" for row in numbers]


WORDS = """
    max_batch_size: 8
    dynamic_batching { }
    input [{ name: "numbers" data_type: TYPE_INT64 dims: [ 1 ] }]
    output [{ name: "words" data_type: TYPE_STRING dims: [ 1 ] }]
"""


async def test_a_list_of_strings_has_one_for_each_row(repository: Path, start_server: StartServer) -> None:
    write_script(repository, "torch", Words, WORDS)
    server = await start_server()
    given = [[[1], [2]], [[4]], [[3], [5], [6]]]
    answers = await asyncio.gather(
        *(server.infer(InferRequest("torch", {"numbers": np.array(rows, np.int64)})) for rows in given)
    )
    assert [answer.outputs["words"].tolist() for answer in answers] == [
        [[b"odd"], [b"even"]], [[b"even"]], [[b"odd"], [b"odd"], [b"even"]]
    ]  # fmt: skip


async def test_a_list_of_strings_without_batch_is_a_row(repository: Path, start_server: StartServer) -> None:
    config = WORDS.replace("max_batch_size: 8", "").replace("dynamic_batching { }", "").replace("[ 1 ]", "[ -1 ]")
    write_script(repository, "torch", Words, config.replace("TYPE_INT64 dims: [ -1 ]", "TYPE_INT64 dims: [ -1, 1 ]"))
    response = await (await start_server()).infer(InferRequest("torch", {"numbers": np.array([[1], [2]])}))
    assert response.outputs["words"].tolist() == [b"odd", b"even"]


async def test_a_list_of_strings_cannot_fill_wider_rows(repository: Path, start_server: StartServer) -> None:
    write_script(repository, "torch", Words, WORDS.replace("TYPE_STRING dims: [ 1 ]", "TYPE_STRING dims: [ 2 ]"))
    server = await start_server()
    with pytest.raises(BackendFailed, match="output 'words': a list of strings has one for each row of the batch"):
        await server.infer(InferRequest("torch", {"numbers": np.array([[1], [2]])}))


class LettersAndLengths(torch.nn.Module):  # type: ignore[misc, name-defined]
    def forward(self, texts: list[str]) -> tuple[list[str], torch.Tensor]:  # type: ignore[name-defined]
        return [text + "!" for text in texts], torch.tensor([len(text) for text in texts])


LETTERS = """
    input [{ name: "texts" data_type: TYPE_STRING dims: [ -1 ] }]
    output [{ name: "louder" data_type: TYPE_STRING dims: [ -1 ] },
            { name: "lengths" data_type: TYPE_INT64 dims: [ -1 ] }]
"""


async def test_a_module_may_take_strings_and_return_them_among_tensors(
    repository: Path, start_server: StartServer
) -> None:
    write_script(repository, "torch", LettersAndLengths, LETTERS)
    texts = np.array([b"Alien", "Amélie".encode()], np.object_)
    response = await (await start_server()).infer(InferRequest("torch", {"texts": texts}))
    assert response.outputs["louder"].tolist() == [b"Alien!", "Amélie!".encode()]
    assert response.outputs["lengths"].tolist() == [5, 7]  # TorchScript counts bytes


async def test_strings_for_a_tensor_are_refused_by_name(repository: Path, start_server: StartServer) -> None:
    write_script(repository, "torch", Words, WORDS.replace("TYPE_INT64", "TYPE_STRING"))
    server = await start_server()
    with pytest.raises(BackendFailed, match=r"input 'numbers' is BYTES, which PyTorch models take as .* List\[str\]"):
        await server.infer(InferRequest("torch", {"numbers": np.array([[b"1"]], np.object_)}))


class ReturnsNumber(torch.nn.Module):  # type: ignore[misc, name-defined]
    def forward(self, numbers: torch.Tensor) -> int:  # type: ignore[name-defined]
        return numbers.size(0)


class ReturnsNumbers(torch.nn.Module):  # type: ignore[misc, name-defined]
    def forward(self, numbers: torch.Tensor) -> tuple[list[int], torch.Tensor]:  # type: ignore[name-defined]
        return [1, 2], numbers


class ReturnsNothing(torch.nn.Module):  # type: ignore[misc, name-defined]
    def forward(self, numbers: torch.Tensor) -> torch.Tensor | None:  # type: ignore[name-defined]
        return None


class ReturnsComplex(torch.nn.Module):  # type: ignore[misc, name-defined]
    def forward(self, numbers: torch.Tensor) -> torch.Tensor:  # type: ignore[name-defined]
        return torch.complex(numbers.double(), numbers.double())


class ReturnsSparse(torch.nn.Module):  # type: ignore[misc, name-defined]
    def forward(self, numbers: torch.Tensor) -> torch.Tensor:  # type: ignore[name-defined]
        return numbers.to_sparse()


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (ReturnsNumber, "the model returned int, only tensors and lists of strings"),
        (ReturnsNumbers, "the model returned list, only tensors and lists of strings"),
        (ReturnsNothing, "the model returned NoneType, only tensors and lists of strings"),
        (ReturnsComplex, "the model returned a tensor of torch.complex128"),
        (ReturnsSparse, "the model returned a tensor of torch.int64 in layout torch.sparse_coo, only dense"),
    ],
)
async def test_what_cannot_be_answered_is_named(
    source: type[torch.nn.Module],  # type: ignore[name-defined]
    message: str,
    repository: Path,
    start_server: StartServer,
) -> None:
    write_script(repository, "torch", source, WORDS)
    server = await start_server()
    with pytest.raises(BackendFailed, match=f"output 'words': {message}"):
        await server.infer(InferRequest("torch", {"numbers": np.array([[1]])}))


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

    monkeypatch.setattr(opening, "open_pytorch", open_late)
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
