"""Graphs written by other processes are those that this one would write."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from export.errors import ExportError, ParityFailed, SignatureMismatch
from export.example_inputs import candidate_batch, empty_history, history_batch
from export.graphs.writers import GraphOrder, GraphWorkers, Here
from export.layout import COMMITTED_REPOSITORY, read_config
from features.sources import SOURCES
from training.content.poster_encoder import PosterEncoder
from training.models.mlp_scorer import DotScorer


@pytest.fixture(scope="module")
def workers() -> Iterator[GraphWorkers]:
    with GraphWorkers(1) as workers:
        yield workers


@pytest.fixture
def order(tmp_path: Path) -> GraphOrder:
    """The smallest network of a release."""
    weights = np.ones((2, len(SOURCES)), dtype=np.float32)
    batches = [empty_history(), history_batch(30, 2, seed=1) | candidate_batch(30, weights, seed=1)]
    config = read_config(COMMITTED_REPOSITORY, "dot_scorer").SerializeToString()
    return GraphOrder(DotScorer(), batches, config, tmp_path / "model.onnx")


def test_a_worker_writes_the_same_bytes(workers: GraphWorkers, order: GraphOrder, tmp_path: Path) -> None:
    Here().begin(order)()
    workers.begin(replace(order, path=tmp_path / "again.onnx"))()

    assert order.path.read_bytes() == (tmp_path / "again.onnx").read_bytes()


def test_what_a_worker_refuses_is_told_as_here(workers: GraphWorkers, order: GraphOrder) -> None:
    another = replace(order, config=read_config(COMMITTED_REPOSITORY, "fusion").SerializeToString())

    with pytest.raises(SignatureMismatch, match=r"^fusion: tensor .* but config\.pbtxt says") as here:
        Here().begin(another)()
    with pytest.raises(SignatureMismatch) as there:
        workers.begin(another)()

    assert str(there.value) == str(here.value)


def test_errors_outlive_the_way_between_processes() -> None:
    error = pickle.loads(pickle.dumps(ParityFailed("fusion", "output 'query'", 0.5, 1e-4)))

    assert isinstance(error, ExportError)
    assert str(error) == "fusion: output 'query' differs by 0.5 from the network, more than 0.0001"


def test_a_worker_writes_poster_networks(workers: GraphWorkers, order: GraphOrder) -> None:
    """They are torchvision's, which a CPU build of torch cannot import unguarded."""
    config = read_config(COMMITTED_REPOSITORY, "image_encoder").SerializeToString()
    pixels = {"pixels": np.zeros((2, 3, 32, 32), dtype=np.float32)}

    workers.begin(replace(order, module=PosterEncoder(), batches=[pixels, pixels], config=config))()

    assert order.path.stat().st_size > 90_000_000
