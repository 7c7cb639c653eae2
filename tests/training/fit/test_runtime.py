"""How a training runs changes nothing of what comes out: interrupted, streamed, or in mixed precision."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.training.fitted_models import fit_models
from tests.training.test_train import QUICK
from tests.training.worlds import no_content, planted_tastes, world
from training.data.item_features import item_features
from training.data.splits import in_time_order
from training.fit.loop import Curve
from training.fit.networks import TrainableNetwork, sequence_network, two_tower_network
from training.fit.resume import ResumeFile
from training.fit.runtime import Precision, Runtime

CPU = torch.device("cpu")
EVENTS = in_time_order(planted_tastes(n_people=40, n_items=24, length=12)[0])

pytestmark = pytest.mark.usefixtures("one_thread")


class Interrupted(Exception):
    """The machine went away."""


def made(model: str, epochs: int = 3, mixed: bool = False) -> TrainableNetwork:
    features = item_features(world(EVENTS, 24).catalog, EVENTS, np.zeros((24, 0), dtype=np.float32))
    if model == "sequence":
        return sequence_network(EVENTS, features, replace(QUICK.sequence, epochs=epochs, dropout=0.3), 0, CPU, mixed)
    return two_tower_network(
        EVENTS, features, replace(QUICK.two_tower, epochs=epochs, examples_ratio=0.5, dropout=0.3), 0, CPU, mixed
    )


def scoring() -> Callable[[torch.nn.Module, np.ndarray], float]:
    """A score that depends on the net alone, so that it is the same before and after an interruption."""
    return lambda encoder, vectors: float(np.abs(vectors).sum())


def interrupt_after(epochs: int) -> Callable[[Curve], None]:
    def on_epoch(curve: Curve) -> None:
        if len(curve.losses) == epochs:
            raise Interrupted

    return on_epoch


@pytest.mark.parametrize("model", ["sequence", "two_tower"])
@pytest.mark.parametrize("score", [None, scoring()], ids=["to the end", "stopped early"])
def test_an_interrupted_training_ends_as_if_nothing_had_happened(
    model: str, score: Callable[[torch.nn.Module, np.ndarray], float] | None, tmp_path: Path
) -> None:
    whole = made(model)
    expected = whole.train(score)
    with pytest.raises(Interrupted):
        made(model).train(score, interrupt_after(2), ResumeFile(tmp_path / "net.pt"))

    again, epochs = made(model), []
    curve = again.train(score, lambda curve: epochs.append(len(curve.losses)), ResumeFile(tmp_path / "net.pt"))

    assert epochs[0] == 3  # the first two are not repeated
    assert (curve.losses, curve.scores) == (expected.losses, expected.scores)
    assert torch.equal(again.net.item_vectors(), whole.net.item_vectors())


def test_a_finished_training_is_not_continued(tmp_path: Path) -> None:
    state = ResumeFile(tmp_path / "net.pt")
    made("two_tower").train(None, file=state)

    epochs: list[int] = []
    made("two_tower").train(None, lambda curve: epochs.append(len(curve.losses)), state)

    assert epochs == []


def test_the_state_of_another_training_is_left_alone(tmp_path: Path) -> None:
    state = ResumeFile(tmp_path / "net.pt")
    made("two_tower", epochs=2).train(None, file=state)

    curve = made("two_tower", epochs=3).train(None, file=state)

    assert len(curve.losses) == 3


@pytest.mark.parametrize("content", [b"", b"half a file"])
def test_a_damaged_state_means_training_anew(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "net.pt").write_bytes(content)

    assert ResumeFile(tmp_path / "net.pt").load("anything") is None


@pytest.mark.parametrize("model", ["sequence", "two_tower"])
def test_mixed_precision_learns_about_the_same(model: str) -> None:
    full, mixed = made(model), made(model, mixed=True)

    losses, rounded = full.train().losses, mixed.train().losses

    assert losses != rounded
    # bf16 has 8 bits: a number is off by up to 1/256, and a loss averages many.
    np.testing.assert_allclose(rounded, losses, rtol=0.02)
    assert all(parameter.dtype == torch.float32 for parameter in mixed.net.parameters())


def test_precision_is_mixed_on_cuda_unless_said_otherwise() -> None:
    cuda = torch.device("cuda")

    assert Runtime().mixed(cuda)
    assert not Runtime().mixed(CPU)
    assert not Runtime(precision=Precision.FP32).mixed(cuda)
    assert Runtime(precision=Precision.BF16).mixed(CPU)


def test_streamed_models_are_those_from_memory_and_nothing_stays_behind(tmp_path: Path) -> None:
    quick = replace(QUICK, sequence=replace(QUICK.sequence, epochs=1), two_tower=replace(QUICK.two_tower, epochs=1))
    catalog = world(EVENTS, 24).catalog

    memory = fit_models(catalog, EVENTS, no_content(24), quick)
    streamed = fit_models(catalog, EVENTS, no_content(24), quick, runtime=Runtime(tmp_path, stream_above=0))

    for source, vectors in memory.item_vectors.items():
        np.testing.assert_array_equal(streamed.item_vectors[source], vectors)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("model", ["sequence", "two_tower"])
def test_mixed_precision_learns_about_the_same_on_cuda(model: str) -> None:
    features = item_features(world(EVENTS, 24).catalog, EVENTS, np.zeros((24, 0), dtype=np.float32))
    make, config = {"sequence": (sequence_network, QUICK.sequence), "two_tower": (two_tower_network, QUICK.two_tower)}[
        model
    ]

    curves = [
        make(EVENTS, features, config, 0, torch.device("cuda"), mixed).train().losses  # type: ignore[operator]
        for mixed in (False, True)
    ]

    np.testing.assert_allclose(curves[1], curves[0], rtol=0.02)
