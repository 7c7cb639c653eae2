"""Studies that go on where they were left, and that never see the test."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import orjson
import pytest
from typer.testing import CliRunner

from tests.training.test_train import for_epochs
from tests.training.worlds import no_content, planted_tastes, world
from training.__main__ import app
from training.data.dataset import Dataset
from training.data.splits import Protocol, in_time_order, positions_from_end, select
from training.models.ease import EaseConfig
from training.options import OptionsError, TrainOptions, read_options
from training.tuning.spaces import SPACES
from training.tuning.study import Bench, best_options, dense, storage_below, tune

pytestmark = pytest.mark.usefixtures("one_thread")

optuna = pytest.importorskip("optuna", reason="needs the extra `lab` (make lab)")

OPTIONS = for_epochs(2, hold_out=Protocol.LAST5)


def planted(n_people: int = 60) -> Dataset:
    return world(in_time_order(planted_tastes(n_people=n_people, n_items=48, length=14)[0]), 48)


def bench_of(dataset: Dataset, options: TrainOptions = OPTIONS) -> Bench:
    return Bench.of(dataset, no_content(len(dataset.catalog)), options)


def test_a_study_goes_on_where_it_was_left(tmp_path: Path) -> None:
    bench, storage = bench_of(planted()), storage_below(tmp_path)

    first = tune(bench, "ease", storage, "study", trials=3)
    values = [trial.value for trial in first.trials]
    again = tune(bench, "ease", storage, "study", trials=5)

    assert len(again.trials) == 5
    assert [trial.value for trial in again.trials[:3]] == values
    assert len({trial.params["l2"] for trial in again.trials}) == 5  # nothing is tried twice


def test_the_first_trial_is_the_options_as_they_are(tmp_path: Path) -> None:
    study = tune(bench_of(planted()), "ials", storage_below(tmp_path), "study", trials=2)

    defaults = asdict(OPTIONS.ials)
    assert study.trials[0].params == {name: defaults[name] for name in study.trials[0].params}
    assert study.best_value >= study.trials[0].value


@pytest.mark.parametrize("model", ["sequence", "two_tower"])
def test_networks_report_every_epoch(model: str, tmp_path: Path) -> None:
    study = tune(bench_of(planted()), model, storage_below(tmp_path), "study", trials=1)

    epochs = study.trials[0].intermediate_values
    assert sorted(epochs) == [1, 2]
    assert study.best_value == max(epochs.values())


def test_what_is_held_out_for_the_test_changes_nothing() -> None:
    dataset = planted()
    events = dataset.events
    altered = select(events, np.arange(len(events)))
    newest = positions_from_end(events.user_rows) < 5
    for person in range(60):  # five films that the person never watched
        own = events.user_rows == person
        altered.item_rows[own & newest] = np.setdiff1d(np.arange(48), events.item_rows[own])[:5]
    altered.ratings[newest] = 0.5

    scores = [
        bench_of(replace(dataset, events=one)).score_of("ease", OPTIONS, lambda curve: None)
        for one in (events, altered)
    ]

    assert scores[0] == scores[1]


@pytest.mark.parametrize("model", SPACES)
def test_the_defaults_lie_within_what_is_searched(model: str) -> None:
    values = SPACES[model](optuna.trial.FixedTrial(asdict(getattr(TrainOptions(), model))))

    assert values.items() <= asdict(getattr(TrainOptions(), model)).items()


def test_the_best_options_are_read_by_a_training(tmp_path: Path) -> None:
    study = tune(bench_of(planted()), "ease", storage_below(tmp_path), "study", trials=2)
    (tmp_path / "best.json").write_bytes(orjson.dumps(best_options(study, "ease")))

    options = read_options(tmp_path / "best.json", TrainOptions())

    assert options.ease.l2 == study.best_params["l2"]
    assert options.sequence == TrainOptions().sequence


def test_options_that_change_nothing_keep_the_hash(tmp_path: Path) -> None:
    path = tmp_path / "options.json"
    path.write_bytes(orjson.dumps({"ease": {"l2": EaseConfig().l2}}))
    assert read_options(path, TrainOptions()).hash == TrainOptions().hash

    path.write_bytes(orjson.dumps({"ease": {"l2": 1.0}, "two_tower": {"loss": "bpr"}}))
    assert read_options(path, TrainOptions()).hash != TrainOptions().hash


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ('{"eese": {}}', "options: no option is called eese; there are hold_out"),
        ('{"ease": {"l3": 1}}', r"options\.ease: no option is called l3; there are l2"),
        ('{"ease": {"l2": "much"}}', r"options\.ease\.l2: 'much' cannot be used"),
        ('{"ease": 3}', r"options\.ease: expected names and values in braces, not 3"),
        ("{", "not JSON"),
    ],
)
def test_options_that_do_not_exist_are_named(content: str, complaint: str, tmp_path: Path) -> None:
    (tmp_path / "options.json").write_text(content)

    with pytest.raises(OptionsError, match=complaint):
        read_options(tmp_path / "options.json", TrainOptions())


def test_candidates_become_a_row_of_scores() -> None:
    table = dense(np.array([[2, -1], [0, 1]]), np.array([[5, 0], [3, 1]], dtype=np.float32), 3)

    assert table.tolist() == [[0, 0, 5], [3, 1, 0]]


def test_the_command_writes_the_best_options(movielens_folder: Path, tmp_path: Path) -> None:
    done = CliRunner().invoke(
        app,
        ["tune", "--model", "ease", "--data", str(movielens_folder), "--home", str(tmp_path), "--trials", "2"],
        env={"COLUMNS": "200", "NO_COLOR": "1"},
    )

    assert done.exit_code == 0, done.output
    assert "validation NDCG@10" in done.output
    (written,) = (tmp_path / "tuning").iterdir()
    assert set(orjson.loads(written.read_bytes())) == {"ease"}
