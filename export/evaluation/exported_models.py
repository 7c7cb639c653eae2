"""A release read back from its files, so that what was exported is measured and not what was trained."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from export.graphs.onnx_graphs import onnx_run
from export.layout import SCORERS, USER_ENCODERS, version_folder
from features.sources import source_slices
from training.fit.trainer import FittedModels
from training.models.mlp_scorer import SCORER_INPUTS
from training.models.serving import HISTORY_INPUTS


class OnnxNetwork(nn.Module):
    """An exported network, called like the one it was made from."""

    def __init__(self, path: Path, input_names: tuple[str, ...] = HISTORY_INPUTS) -> None:
        super().__init__()
        self.input_names = input_names
        self._run = onnx_run(path)

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """(B, …) each, in the order of `input_names` → the graph's outputs in its own order."""
        tensors = {name: tensor.numpy() for name, tensor in zip(self.input_names, inputs, strict=True)}
        return tuple(torch.from_numpy(output) for output in self._run(tensors).values())


def exported_models(repository: Path, number: int) -> FittedModels:
    """Encoders and scorers from their ONNX files, and the films' side of every source from the retrieval model.

    Raises: FileNotFoundError when a part is missing.
    """
    retrieval = version_folder(repository, "retrieval", number)
    fused = np.load(retrieval / "item_vectors.npy", allow_pickle=False)
    encoders: dict[str, nn.Module] = {
        model: OnnxNetwork(version_folder(repository, model, number) / "model.onnx") for model in USER_ENCODERS
    }
    encoders |= {
        model: OnnxNetwork(version_folder(repository, model, number) / "model.onnx", SCORER_INPUTS) for model in SCORERS
    }
    vectors = {source: np.ascontiguousarray(fused[:, columns]) for source, columns in source_slices().items()}
    return FittedModels(encoders, vectors, np.load(retrieval / "popularity.npy", allow_pickle=False), curves={})
