"""Half precision and integers: smaller files, a measured and bounded loss."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import numpy as np
import onnx
import pytest
import torch
from torch import nn

from export.commands.release_options import PrecisionName
from export.errors import ExportError
from export.example_inputs import Tensors, history_batch
from export.graphs.networks import Network, Trial, prove_graph
from export.graphs.precision import DEMANDS, REDUCIBLE_MODELS, Precision
from export.graphs.writers import GraphOrder
from export.layout import COMMITTED_REPOSITORY, read_config
from features.release_manifest import Parity
from tests.export.tiny_world import N_FILMS, MeanTower

ITEMS = np.random.default_rng(1).standard_normal((64, 200)).astype(np.float32)
POSTERS = np.random.default_rng(2).standard_normal((2048, 200)).astype(np.float32)


class DenseTower(MeanTower):
    """The mean tower with a layer behind it whose weights span `10 ** decades`."""

    def __init__(self, decades: float) -> None:
        super().__init__(1)
        torch.manual_seed(3)
        self.dense = nn.Linear(64, 64)
        with torch.no_grad():
            self.dense.weight *= 10 ** torch.linspace(-decades, 0, 64)

    def forward(self, history: torch.Tensor, ratings: torch.Tensor, age_days: torch.Tensor) -> tuple[torch.Tensor]:
        return (nn.functional.normalize(self.dense(super().forward(history, ratings, age_days)[0]), dim=1),)


class ConvolvingEncoder(nn.Module):
    input_names, output_names = ("pixels",), ("embedding",)

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(4)
        self.convolution = nn.Conv2d(3, 16, 3)
        self.dense = nn.Linear(16, 2048)

    def forward(self, pixels: torch.Tensor) -> tuple[torch.Tensor]:
        pooled = torch.relu(self.convolution(pixels)).mean(dim=(2, 3))
        return (nn.functional.normalize(self.dense(pooled), dim=1),)


def export_network(module: nn.Module, trial: Trial, model: str, folder: Path, precision: Precision) -> Parity:
    """Write `model.onnx` and prove it."""
    path, config = folder / "model.onnx", read_config(COMMITTED_REPOSITORY, model)
    GraphOrder(module, trial.batches, config.SerializeToString(), path, precision).write()
    return prove_graph(Network(module, trial, precision), model, path)


def image_batch(batch_size: int) -> Tensors:
    """`pixels` (B, 3, 32, 32): noise of the range that normalised pixels have."""
    random = np.random.default_rng([6, batch_size])
    return {"pixels": random.uniform(-2.1, 2.6, size=(batch_size, 3, 32, 32)).astype(np.float32)}


def export_tower(tower: nn.Module, folder: Path, precision: Precision) -> Parity:
    trial = Trial(
        [history_batch(N_FILMS, size, seed=5) for size in (1, 7, 64)], lambda out: out["user_embedding"] @ ITEMS
    )
    return export_network(tower, trial, "user_tower", folder, precision)


@pytest.mark.parametrize(("precision", "stored"), [("fp16", onnx.TensorProto.FLOAT16), ("int8", onnx.TensorProto.INT8)])
def test_weights_are_stored_in_the_precision_chosen(precision: Precision, stored: int, tmp_path: Path) -> None:
    parity = export_tower(DenseTower(0), tmp_path, precision)
    graph = onnx.load(tmp_path / "model.onnx").graph
    assert stored in {weights.data_type for weights in graph.initializer if tuple(weights.dims) == (64, 64)}
    types = {tensor.type.tensor_type.elem_type for tensor in (*graph.input[1:], *graph.output)}
    assert types == {onnx.TensorProto.FLOAT}
    assert parity.precision == precision
    assert DEMANDS[precision].min_ranking_overlap <= parity.ranking_overlap <= 1
    assert 0 < parity.largest_difference <= parity.tolerance


def test_convolutions_are_calibrated_and_run_in_integers(tmp_path: Path) -> None:
    trial = Trial([image_batch(size) for size in (1, 2, 7)], lambda out: out["embedding"] @ POSTERS)
    parity = export_network(ConvolvingEncoder(), trial, "image_encoder", tmp_path, "int8")
    kinds = {node.op_type for node in onnx.load(tmp_path / "model.onnx").graph.node}
    assert {"QuantizeLinear", "DequantizeLinear"} <= kinds
    assert parity.ranking_overlap >= DEMANDS["int8"].min_ranking_overlap


def test_a_network_that_loses_too_much_is_not_exported(tmp_path: Path) -> None:
    class Cancelling(DenseTower):
        """Rounding errors of one large part, which cancels out, drown what is left."""

        def forward(self, history: torch.Tensor, ratings: torch.Tensor, age_days: torch.Tensor) -> tuple[torch.Tensor]:
            mean = MeanTower.forward(self, history, ratings, age_days)[0]
            large = 1000 * mean
            return (nn.functional.normalize(self.dense(large + mean.flip(1)) - self.dense(large), dim=1),)

    with pytest.raises(ExportError, match="user_tower: "):
        export_tower(Cancelling(0), tmp_path, "int8")


def test_names_of_precisions_are_the_same_everywhere() -> None:
    assert get_args(PrecisionName) == get_args(Precision) == tuple(DEMANDS)
    assert {"text_encoder", "image_encoder"} <= set(REDUCIBLE_MODELS)
