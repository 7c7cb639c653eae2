"""The exported scorers: what they make of lists of any length, and that a release says which of them it uses."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from export.example_inputs import Tensors, candidate_batch, history_batch
from export.graphs.onnx_graphs import network_run, onnx_run
from export.layout import SCORERS
from export.release.build import PublishOptions, release_facts
from export.release.manifest import read_manifest
from features.sources import SOURCES
from tests.export.tiny_world import N_FILMS, TinyWorld


def lists(people: int, films: int) -> Tensors:
    """Candidates of some people, fewer than there usually are."""
    weights = np.full((people, len(SOURCES)), 1 / 7, dtype=np.float32)
    candidates = candidate_batch(N_FILMS, weights, seed=3)
    shorter = {name: candidates[name][:, :films] for name in ("candidate_rows", "contributions")}
    return {**history_batch(N_FILMS, people, seed=3), **candidates, **shorter}


@pytest.mark.parametrize("model", SCORERS)
@pytest.mark.parametrize("films", [1, 2, 3, 200])
@pytest.mark.parametrize("people", [1, 5])
def test_lists_of_any_length_are_scored_as_by_the_network(
    world: TinyWorld, exported: Path, model: str, films: int, people: int
) -> None:
    inputs = lists(people, films)
    inputs["candidate_rows"][:, 2:3] = -1
    given = onnx_run(exported / model / "1" / "model.onnx")(inputs)["scores"]
    assert given.shape == (people, films)
    assert (given[:, 2:3] == -np.inf).all()
    # Some dozens of float32 products of size 1 to 10, in another order.
    np.testing.assert_allclose(given, network_run(world.trained.encoders[model])(inputs)["scores"], atol=1e-4)


def test_the_dot_scorer_adds_up_contributions(exported: Path) -> None:
    inputs = lists(2, 4)
    given = onnx_run(exported / "dot_scorer" / "1" / "model.onnx")(inputs)["scores"]
    np.testing.assert_allclose(given, inputs["contributions"].sum(axis=2), atol=1e-6)


def test_the_release_says_which_scorer_its_validation_preferred(world: TinyWorld, exported: Path) -> None:
    assert read_manifest(exported).releases[1].scorer == "dot"
    preferred = {"validation": {"reranking": {"default": "mlp"}}}
    assert release_facts(replace(world.trained, metrics=preferred), {}, PublishOptions()).scorer == "mlp"
