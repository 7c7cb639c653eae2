"""ONNX files: names, types and dimensions of config.pbtxt, equal files for equal networks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from torch import nn

from export.errors import SignatureMismatch
from export.example_inputs import history_batch
from export.graphs.onnx_graphs import MAX_IR_VERSION, OPSET_VERSION, export_onnx, network_run, onnx_run
from export.layout import COMMITTED_REPOSITORY, read_config
from tests.export.tiny_world import N_FILMS, MeanTower

CONFIG = read_config(COMMITTED_REPOSITORY, "user_tower")
EXAMPLE = history_batch(N_FILMS, 2, seed=1)


class WrongWidth(MeanTower):
    def forward(self, history: torch.Tensor, ratings: torch.Tensor, age_days: torch.Tensor) -> tuple[torch.Tensor]:
        return (super().forward(history, ratings, age_days)[0][:, :32],)


class WrongName(MeanTower):
    output_names = ("embedding_of_user",)


@pytest.fixture(scope="module")
def graph(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("graph") / "model.onnx"
    export_onnx(MeanTower(1), EXAMPLE, CONFIG, path)
    return path


def test_tensors_have_the_names_and_dimensions_of_the_configuration(graph: Path) -> None:
    model = onnx.load(graph)
    shapes = {
        tensor.name: [one.dim_param or one.dim_value for one in tensor.type.tensor_type.shape.dim]
        for tensor in (*model.graph.input, *model.graph.output)
    }
    assert shapes == {
        "history": ["batch", 50], "ratings": ["batch", 50], "age_days": ["batch", 50], "user_embedding": ["batch", 64],
    }  # fmt: skip


def test_graphs_are_of_a_version_that_triton_reads(graph: Path) -> None:
    model = onnx.load(graph)
    assert [(opset.domain, opset.version) for opset in model.opset_import] == [("", OPSET_VERSION)]
    assert model.ir_version <= MAX_IR_VERSION


def test_the_same_network_gives_the_same_file(graph: Path, tmp_path: Path) -> None:
    export_onnx(MeanTower(1), history_batch(N_FILMS, 3, seed=9), CONFIG, tmp_path / "again.onnx")
    assert (tmp_path / "again.onnx").read_bytes() == graph.read_bytes()


def test_any_batch_size_runs(graph: Path) -> None:
    run, network = onnx_run(graph), network_run(MeanTower(1))
    for size in (1, 5, 64):
        batch = history_batch(N_FILMS, size, seed=2)
        # Float32 means of at most 50 films of size 1.
        np.testing.assert_allclose(run(batch)["user_embedding"], network(batch)["user_embedding"], atol=1e-5)


def test_lengths_that_the_configuration_leaves_open_are_open_in_the_graph(exported: Path) -> None:
    rows, scores = onnx.load(exported / "ease" / "1" / "model.onnx").graph.output
    for tensor in (rows, scores):
        assert tensor.type.tensor_type.shape.dim[1].dim_param
    (pixels,) = onnx.load(exported / "image_encoder" / "1" / "model.onnx").graph.input
    assert [one.dim_param or one.dim_value for one in pixels.type.tensor_type.shape.dim] == [
        "batch", 3, "height", "width",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("network", "message"),
    [
        (WrongWidth(1), r"user_tower: tensor 'user_embedding' is exported as \('FLOAT', \(-1, 32\)\)"),
        (WrongName(1), "user_tower: tensor 'user_embedding' is exported as nothing"),
    ],
)
def test_a_graph_that_contradicts_its_configuration_is_refused(
    network: nn.Module, message: str, tmp_path: Path
) -> None:
    with pytest.raises(SignatureMismatch, match=message):
        export_onnx(network, EXAMPLE, CONFIG, tmp_path / "model.onnx")
    assert list(tmp_path.iterdir()) == []
