"""A release's vectors as files are those that are served."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
from typer.testing import CliRunner

from export.__main__ import app
from features.history import history_tensors
from tests.export.tiny_world import TinyWorld
from training.data.splits import in_time_order, split_by_person
from training.fit.trainer import encode


def test_embeddings_of_a_release_are_those_of_its_training(exported: Path, world: TinyWorld, tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["embeddings", "--repository", str(exported), "--out", str(tmp_path)])
    assert done.exit_code == 0, done.output

    _, histories = split_by_person(in_time_order(world.dataset.events))
    expected = encode(world.trained.encoders, "sequence_encoder", history_tensors(histories))[0]
    # ONNX against torch, single precision: the same sums in another order.
    np.testing.assert_allclose(np.load(tmp_path / "users_sequence.npy"), expected, atol=1e-5)
    np.testing.assert_array_equal(np.load(tmp_path / "movies_text.npy"), world.trained.item_vectors["text"])
    assert pl.read_parquet(tmp_path / "users.parquet")["user_id"].to_list() == ["7", "8", "9", "x"]


def test_embeddings_of_a_release_that_is_not_there_say_which_are(exported: Path, tmp_path: Path) -> None:
    done = CliRunner().invoke(
        app, ["embeddings", "--repository", str(exported), "--release", "4", "--out", str(tmp_path)]
    )
    assert done.exit_code == 1
