"""Made-up data have the shape they promise, and steps are measured each by its own peak."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from sample import FolderInUse
from training.__main__ import app
from training.data.dataset import read_dataset
from training.data.synthetic import Size, write_synthetic
from training.evaluation.scale import STEPS, Cost, measured

SMALL = Size(events=20_000, people=200, films=2000)


def test_synthetic_data_are_read_whole_and_called_simulated(tmp_path: Path) -> None:
    reported: list[int] = []
    written = write_synthetic(tmp_path / "data", SMALL, on_people=reported.append)

    dataset = read_dataset(tmp_path / "data")

    assert dataset.simulated
    assert dataset.report.dropped_rows == 0
    assert (len(dataset.user_ids), len(dataset.catalog), len(dataset.events)) == (200, 2000, written)
    assert reported == [200]
    # What is missing: people who would have had more than a quarter of the films, or whose draws ran out.
    assert 0.9 * SMALL.events < written <= SMALL.events


def test_synthetic_people_have_tastes_and_long_tails(tmp_path: Path) -> None:
    write_synthetic(tmp_path / "data", SMALL)
    events = read_dataset(tmp_path / "data").events

    own = events.item_rows % 20 == events.user_rows % 20
    assert own.mean() > 0.4  # a twentieth by chance; less than the 0.7 asked for, because a taste has but 100 films
    assert np.bincount(events.user_rows).max() > 3 * np.median(np.bincount(events.user_rows))


def test_the_same_seed_gives_the_same_data(tmp_path: Path) -> None:
    for name in ("one", "other"):
        write_synthetic(tmp_path / name, Size(2000, 50, 100), seed=3)

    assert (tmp_path / "one" / "ratings.csv").read_bytes() == (tmp_path / "other" / "ratings.csv").read_bytes()


def test_a_folder_in_use_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine").touch()

    with pytest.raises(FolderInUse):
        write_synthetic(tmp_path, SMALL)


def test_a_step_is_charged_with_its_own_peak() -> None:
    hungry = measured("hungry", [sys.executable, "-c", "import time; held = b'x' * 300_000_000; time.sleep(0.5)"])
    modest = measured("modest", [sys.executable, "-c", "pass"])

    assert hungry.peak_bytes > 300_000_000 > modest.peak_bytes > 0
    assert not hungry.failed


def test_a_step_that_fails_is_said_to_have_failed() -> None:
    assert measured("broken", [sys.executable, "-c", "raise SystemExit(3)"]).failed


def test_what_was_measured_is_said_before_the_next_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def one_step(step: str, command: list[str]) -> Cost:
        if step == "ease":
            raise RuntimeError("interrupted")
        return Cost(step, 12.34, 3 * 2**30, failed=False)

    monkeypatch.setattr("training.evaluation.scale.measured", one_step)
    folder = tmp_path / "scale" / "25000000-162000-62000-0"
    folder.mkdir(parents=True)
    (folder / "whole-data").touch()  # as if they had been made up before
    done = CliRunner().invoke(app, ["scale", "--step", "ials", "--step", "ease", "--home", str(tmp_path)])

    assert str(done.exception) == "interrupted"
    assert done.output.splitlines() == ["ials: 12.3 s, 3,072 MiB"]


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_every_step_runs(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["scale", "--share", "0.001", "--home", str(tmp_path)], env={"COLUMNS": "120"})

    assert done.exit_code == 0, done.output
    for step in ("synthetic", *STEPS):
        assert step in done.output
