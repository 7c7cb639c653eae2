"""`finetune` as people type it: an encoder that trainings take, which never learnt from what measures them."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from tests.training.worlds import planted_tastes, world
from training.__main__ import app
from training.content.encode import ContentOptions, encode_content
from training.data.dataset import Events, read_dataset
from training.data.splits import Protocol, in_time_order, select
from training.finetuning.encoder_facts import EncoderKnowsTheTest, FinetunedFacts, check_encoder
from training.finetuning.finetuned_encoder import Finetuning
from training.finetuning.text import co_liked_pairs
from training.options import OptionsError, TrainOptions, read_options


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [str(word) for word in arguments], env={"COLUMNS": "220", "NO_COLOR": "1"})


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def finetuned(movielens_folder: Path, home: Path) -> str:
    """What the command says after two steps."""
    done = run(
        "finetune", "--data", movielens_folder, "--home", home, "--hold-out", "last5", "--pairs", "16",
        "--batch-size", "4", "--learning-rate", "1e-3", "--device", "cpu",
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    return done.output


@pytest.fixture
def options(finetuned: str, movielens_folder: Path, home: Path) -> TrainOptions:
    """Of a training with the encoder, as --options gives them."""
    return read_options(home / "tuning" / f"text-{movielens_folder.name}-last5.json", TrainOptions())


def test_help_teaches_with_an_example() -> None:
    shown = run("finetune", "--help").output

    assert "python -m training finetune --data ml-latest-small --hold-out last5" in shown
    assert "--options .marquee/tuning/text-ml-latest-small.json" in shown


def test_the_command_says_what_the_encoder_is_worth(finetuned: str) -> None:
    assert "40 validation people" in finetuned
    assert "ndcg@10" in finetuned
    assert "as packaged" in finetuned
    assert "Loss " in finetuned


def test_the_same_is_found_again(
    finetuned: str, options: TrainOptions, movielens_folder: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr("training.finetuning.finetuned_encoder.finetune_text")
    again = run(
        "finetune", "--data", movielens_folder, "--home", home, "--hold-out", "last5", "--pairs", "16",
        "--batch-size", "4", "--learning-rate", "1e-3", "--device", "cpu",
    )  # fmt: skip

    assert again.exit_code == 0, again.output
    assert again.output.splitlines()[-6:] == finetuned.splitlines()[-6:]


def test_films_are_encoded_anew_by_another_encoder(options: TrainOptions, movielens_folder: Path, home: Path) -> None:
    dataset = read_dataset(movielens_folder)
    packaged = encode_content(dataset, home / "cache", ContentOptions(posters=False))
    ours = encode_content(dataset, home / "cache", replace(options.content, posters=False))

    assert len(list((home / "cache").glob("text-*.npy"))) == 2
    assert np.abs(ours.text - packaged.text).max() > 1e-3
    assert ours.text_encoder_folder == options.content.text_encoder_folder


def test_an_encoder_counts_by_what_it_is(options: TrainOptions, tmp_path: Path) -> None:
    folder = options.content.text_encoder_folder
    assert folder is not None
    elsewhere = shutil.copytree(folder, tmp_path / "elsewhere")
    moved = replace(options, content=replace(options.content, text_encoder_folder=elsewhere))
    assert moved.hash == options.hash != TrainOptions().hash

    weights = elsewhere / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-4] + b"\0\0\0\1")
    assert moved.hash != options.hash


def test_no_training_is_tested_on_what_its_encoder_has_seen(
    options: TrainOptions, movielens_folder: Path, home: Path
) -> None:
    done = run(
        "train", "--data", movielens_folder, "--home", home, "--hold-out", "newuser", "--no-track", "--options",
        home / "tuning" / f"text-{movielens_folder.name}-last5.json",
    )  # fmt: skip

    assert done.exit_code == 1
    assert "EncoderKnowsTheTest: the text encoder in" in done.output
    assert "fine-tuned with last5 held out, not newuser" in done.output


@pytest.mark.parametrize(
    ("learnt", "tested", "allowed"),
    [
        (("last5", 0), (Protocol.LAST5, 1), True),
        (("last5", 0), (None, 0), True),
        ((None, 0), (None, 0), True),
        ((None, 0), (Protocol.LAST5, 0), False),
        (("last1", 0), (Protocol.LAST5, 0), False),
        (("random", 0), (Protocol.RANDOM, 0), True),
        (("random", 0), (Protocol.RANDOM, 1), False),
    ],
)
def test_who_may_use_an_encoder(
    learnt: tuple[str | None, int], tested: tuple[Protocol | None, int], allowed: bool, tmp_path: Path
) -> None:
    dataset = world(planted_tastes(n_people=8, n_items=24, length=12)[0], 24)
    FinetunedFacts("world", dataset.fingerprint, *learnt, {}, 1, 0.0, 0.0).save(tmp_path)
    options = TrainOptions(hold_out=tested[0], seed=tested[1], content=ContentOptions(text_encoder_folder=tmp_path))

    if allowed:
        check_encoder(dataset, options)
    else:
        with pytest.raises(EncoderKnowsTheTest, match="it has seen events of the test"):
            check_encoder(dataset, options)
    check_encoder(replace(dataset, fingerprint="1" * 64), options)  # of other data nothing is known


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    (tmp_path / "options.json").write_text('{"content": {"text_encoder_folder": "no/such/encoder"}}')

    with pytest.raises(OptionsError, match=r"text_encoder_folder: 'no/such/encoder' .* there is no such folder"):
        read_options(tmp_path / "options.json", TrainOptions())


def test_pairs_come_from_neither_the_test_nor_validation() -> None:
    events = in_time_order(planted_tastes(n_people=40, n_items=48, length=20)[0])
    dataset = world(events, 48)
    wanted = Finetuning(hold_out=Protocol.LAST5)
    learnt = wanted.validation(dataset).train

    # Known people keep ten of twenty films; newcomers bring none.
    assert np.bincount(learnt.user_rows, minlength=40).tolist() == [10] * 32 + [0] * 8
    altered = select(events, np.arange(len(events)))
    altered.ratings[~np.isin(_people_and_films(events), _people_and_films(learnt))] = 0.5  # nobody likes the rest
    others = wanted.validation(replace(dataset, events=altered)).train
    np.testing.assert_array_equal(co_liked_pairs(others, wanted.options), co_liked_pairs(learnt, wanted.options))


def _people_and_films(events: Events) -> np.ndarray:
    return events.user_rows.astype(np.int64) * 48 + events.item_rows
