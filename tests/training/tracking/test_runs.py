"""Trainings in MLflow: what is written down, and that nothing depends on it."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from export.commands.tracking import Tracking
from tests.training.test_train import for_epochs
from tests.training.worlds import planted_tastes, world
from training.__main__ import app
from training.checkpoint import Checkpoint, checkpoint_folder
from training.data.dataset import Dataset
from training.fit.loop import Curve
from training.tracking.registry import model_name, register_release, serve_release
from training.tracking.runs import RUN_FILE, Run, Store, available, flat, train_tracked

pytestmark = pytest.mark.usefixtures("one_thread")

needs_mlflow = pytest.mark.skipif(not available(), reason="needs the extra `lab` (make lab)")

OPTIONS = for_epochs(2)


@pytest.fixture(scope="module")
def tracked(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Dataset, Store, Checkpoint]:
    if not available():
        pytest.skip("needs the extra `lab` (make lab)")
    home = tmp_path_factory.mktemp("home")
    dataset = world(planted_tastes(n_people=40, n_items=24, length=10)[0], 24)
    store = Store.of(None, home)
    with pytest.MonkeyPatch.context() as patch:  # content needs no encoding here
        from tests.training.worlds import no_content
        from training import train

        patch.setattr(train, "encode_content", lambda *_: no_content(24))
        return home, dataset, store, train_tracked(dataset, home, OPTIONS, store)


def only_run(store: Store) -> tuple[Any, Any]:
    client = store.client()
    (run,) = client.search_runs([store.experiment_id(client)])
    return client, run


def test_options_and_data_are_parameters(tracked: tuple[Path, Dataset, Store, Checkpoint]) -> None:
    _, run = only_run(tracked[2])

    assert run.info.status == "FINISHED"
    assert run.data.params["sequence.epochs"] == "2"
    assert run.data.params["data.people"] == "40"
    assert run.data.tags["simulated"] == "True"


def test_every_epoch_is_a_point_of_a_curve(tracked: tuple[Path, Dataset, Store, Checkpoint]) -> None:
    client, run = only_run(tracked[2])
    curve = tracked[3].models.curves["user_tower"]

    losses = client.get_metric_history(run.info.run_id, "trial/user_tower/loss")
    scores = client.get_metric_history(run.info.run_id, "trial/user_tower/ndcg_at_10")
    assert [(point.step, point.value) for point in losses] == list(enumerate(curve.losses, start=1))
    assert [point.value for point in scores] == curve.scores


def test_metrics_are_those_of_the_training(tracked: tuple[Path, Dataset, Store, Checkpoint]) -> None:
    _, run = only_run(tracked[2])

    expected = tracked[3].metrics["validation"]["sources"]["hybrid"]["ndcg@10"]
    assert run.data.metrics["validation/hybrid/ndcg_at_10"] == expected["mean"]
    assert run.data.metrics["validation/hybrid/ndcg_at_10_se"] == expected["se"]


def test_model_files_are_kept_with_the_run(tracked: tuple[Path, Dataset, Store, Checkpoint]) -> None:
    client, run = only_run(tracked[2])

    names = {file.path for file in client.list_artifacts(run.info.run_id, "checkpoint")}
    assert {"checkpoint/encoders", "checkpoint/trained.json", "checkpoint/item_vectors.npz"} <= names


def test_a_training_is_written_down_once(tracked: tuple[Path, Dataset, Store, Checkpoint]) -> None:
    home, dataset, store, _ = tracked
    assert (checkpoint_folder(dataset, home, OPTIONS) / RUN_FILE).exists()

    train_tracked(dataset, home, OPTIONS, store)

    only_run(store)


def test_the_alias_follows_the_release_that_is_served(tracked: tuple[Path, Dataset, Store, Checkpoint]) -> None:
    home, dataset, store, _ = tracked
    folder, repository = checkpoint_folder(dataset, home, OPTIONS), home / "models"

    assert register_release(store, folder, "world", repository, 1) == "1"
    assert register_release(store, folder, "world", repository, 2) == "2"
    client = store.client()
    assert client.get_model_version_by_alias("marquee-world", "served").tags["release"] == "2"
    assert serve_release(store, "world", repository, 1) == "1"
    assert client.get_model_version_by_alias("marquee-world", "served").tags["release"] == "1"
    assert serve_release(store, "world", home / "another", 1) is None


def test_a_release_of_an_untracked_training_is_not_registered(
    tracked: tuple[Path, Dataset, Store, Checkpoint], tmp_path: Path
) -> None:
    assert register_release(tracked[2], tmp_path, "world", tmp_path, 1) is None


@needs_mlflow
def test_a_store_that_fails_does_not_end_the_training(caplog: pytest.LogCaptureFixture) -> None:
    from mlflow.exceptions import MlflowException

    class Failing:
        calls = 0

        def log_batch(self, *_: object, **__: object) -> None:
            self.calls += 1
            raise MlflowException("the server is gone")

    caplog.set_level(logging.CRITICAL)
    client = Failing()
    run = Run(client, "1")
    run.epoch("trial", "user_tower", Curve([1.0], [0.1]))
    run.epoch("trial", "user_tower", Curve([1.0, 0.9], [0.1, 0.2]))

    assert client.calls == 1  # it is not asked again


def test_without_mlflow_training_says_so_and_goes_on(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from training.commands import options as command_options

    monkeypatch.setattr(command_options, "available", lambda: False)
    console = command_options.Console(record=True, width=200)

    assert command_options.tracking_store(None, None, tmp_path, console) is None
    assert "MLflow is not installed: this training is not written down" in console.export_text()


def test_tracking_that_is_asked_for_and_cannot_be_had_ends_with_status_1(monkeypatch: pytest.MonkeyPatch) -> None:
    from training.commands import options as command_options

    monkeypatch.setattr(command_options, "available", lambda: False)
    done = CliRunner().invoke(app, ["train", "--data", "nowhere", "--track"], env={"COLUMNS": "200"})

    assert done.exit_code == 1
    assert "MLflow is not installed: install the extra `lab` (make lab), or say --no-track" in done.output


def test_nothing_is_registered_where_nothing_was_ever_tracked(tmp_path: Path) -> None:
    assert Tracking(wanted=False).store(tmp_path) is None


def test_options_become_dotted_names() -> None:
    assert list(flat({"a": 1, "b": {"c": 2, "d": {"e": 3}}})) == [("a", 1), ("b.c", 2), ("b.d.e", 3)]


def test_data_names_become_model_names() -> None:
    assert model_name("ml-latest-small") == "marquee-ml-latest-small"
    assert model_name("my data/2024") == "marquee-my-data-2024"
