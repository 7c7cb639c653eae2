"""`prepare` and `embeddings` as people type them; what they write is tested beside the functions."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import orjson
import polars as pl
import pytest
from rich.progress import Progress
from typer.testing import CliRunner, Result

from tests.training.test_train import for_epochs
from tests.training.worlds import no_content
from training.__main__ import app
from training.checkpoint import checkpoint_folder
from training.data.dataset import read_dataset
from training.data.location import locate_data
from training.data.splits import Protocol
from training.options import TrainOptions
from training.train import fit_release

pytestmark = pytest.mark.usefixtures("one_thread")


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [str(word) for word in arguments], env={"COLUMNS": "220", "NO_COLOR": "1"})


@pytest.mark.parametrize("command", ["prepare", "embeddings"])
def test_help_teaches_with_an_example(command: str) -> None:
    shown = run(command, "--help").output

    assert f"python -m training {command} --data ml-latest-small --out" in shown
    assert ".parquet" in shown


def test_embeddings_of_what_was_not_trained_say_what_to_do(movielens_folder: Path, tmp_path: Path) -> None:
    done = run("embeddings", "--data", movielens_folder, "--home", tmp_path, "--out", tmp_path / "out")

    assert done.exit_code == 1
    assert "CheckpointNotFound: there is no checkpoint in" in done.output
    assert "python -m training train" in done.output


def test_embeddings_are_those_of_the_checkpoint(movielens_folder: Path, tmp_path: Path) -> None:
    dataset = read_dataset(locate_data(str(movielens_folder), tmp_path))
    quick = for_epochs(1, hold_out=Protocol.LAST5)
    checkpoint = fit_release(dataset, no_content(len(dataset.catalog)), quick, Progress(disable=True))
    checkpoint.save(checkpoint_folder(dataset, tmp_path, TrainOptions(hold_out=Protocol.LAST5)))

    done = run(
        "embeddings", "--data", movielens_folder, "--home", tmp_path, "--out", tmp_path / "out", "--hold-out", "last5"
    )  # fmt: skip

    assert done.exit_code == 0, done.output
    np.testing.assert_array_equal(np.load(tmp_path / "out" / "movies_ials.npy"), checkpoint.item_vectors["ials"])
    people = pl.read_parquet(tmp_path / "out" / "users.parquet")
    assert people["events"].to_list() == [7] * 40  # of 12, with five held out
    facts = orjson.loads((tmp_path / "out" / "embeddings.json").read_bytes())
    assert facts["data"]["hold_out"] == "last5"
    assert set(facts["sources"]) == {"sequence", "two_tower", "ials"}  # there is neither text nor poster
