"""TorchScript files: named as Triton's PyTorch backend wants them, equal to the network for every batch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from export.errors import SignatureMismatch
from export.example_inputs import history_batch
from export.graphs.onnx_graphs import network_run
from export.graphs.torchscript import export_torchscript, torchscript_run
from export.layout import COMMITTED_REPOSITORY, USER_ENCODERS, read_config
from tests.export.tiny_world import HISTORY, N_FILMS, MeanTower, TinyWorld

EXAMPLE = history_batch(N_FILMS, 2, seed=1)


class OtherNames(MeanTower):
    def forward(self, films: torch.Tensor, stars: torch.Tensor, age_days: torch.Tensor) -> tuple[torch.Tensor]:
        return super().forward(films, stars, age_days)


class WithPositions(MeanTower):
    """Makes tensors of its own while it runs."""

    def forward(self, history: torch.Tensor, ratings: torch.Tensor, age_days: torch.Tensor) -> tuple[torch.Tensor]:
        positions = torch.arange(history.shape[1], device=history.device).float()
        return (super().forward(history, ratings, age_days + positions)[0],)


def test_files_run_on_another_device_than_they_were_traced_on(tmp_path: Path) -> None:
    export_torchscript(WithPositions(1), EXAMPLE, "user_tower_torchscript", tmp_path / "model.pt")
    # The meta device stands for a GPU: like one, it refuses to work with tensors of the CPU.
    loaded = torch.jit.load(tmp_path / "model.pt").to("meta")
    (embedding,) = loaded(*(torch.from_numpy(EXAMPLE[name]).to("meta") for name in HISTORY))
    assert embedding.device.type == "meta"
    assert embedding.shape == (2, 64)


def test_forward_takes_the_inputs_of_the_configuration(exported: Path) -> None:
    loaded = torch.jit.load(exported / "user_tower_torchscript" / "1" / "model.pt")
    arguments = [argument.name for argument in loaded.forward.schema.arguments][1:]
    config = read_config(COMMITTED_REPOSITORY, "user_tower_torchscript")
    assert arguments == [tensor.name for tensor in config.input]
    assert [tensor.name for tensor in config.output] == ["user_embedding"]


@pytest.mark.parametrize("model", USER_ENCODERS)
def test_every_encoder_can_be_exported(model: str, world: TinyWorld, tmp_path: Path) -> None:
    network = world.trained.encoders[model]
    export_torchscript(network, EXAMPLE, model, tmp_path / "model.pt")
    run = torchscript_run(tmp_path / "model.pt", HISTORY, network.output_names)
    for size in (1, 7):
        batch = history_batch(N_FILMS, size, seed=3)
        for name, expected in network_run(network)(batch).items():
            # Scores of size 10 summed in another order after freezing.
            np.testing.assert_allclose(run(batch)[name], expected, atol=1e-4)


def test_arguments_with_other_names_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SignatureMismatch, match="'films', 'stars'"):
        export_torchscript(OtherNames(1), EXAMPLE, "user_tower_torchscript", tmp_path / "model.pt")
