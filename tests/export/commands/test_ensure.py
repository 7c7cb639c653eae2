"""Finding the release to serve: quickly when it is there, anew when anything changed."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from export.commands import ensure as module
from export.commands.ensure import Ensured, Memo, Wanted, ensure, find_release, remembered
from export.commands.release_options import ReleaseOptions
from export.layout import COMMITTED_REPOSITORY
from export.release.manifest import read_manifest, write_manifest
from export.release.recipe import data_listing, export_hash, training_listing
from features.release_manifest import Recipe

WANTED = Wanted("f" * 64, Recipe("0123456789ab", export_hash("fp32")))
"""What the tiny world's release was made from."""


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "ratings.csv").write_text("userId,movieId,rating,timestamp\n")
    return folder


@pytest.fixture
def home(tmp_path: Path, data: Path) -> Path:
    """A home that remembers `data`."""
    home = tmp_path / "home"
    home.mkdir()
    memo = Memo(training_listing(), str(data), data_listing(data), WANTED.fingerprint, WANTED.recipe.training)
    (home / "export-memo.json").write_bytes(module.msgspec.json.encode({ReleaseOptions(str(data)).key: memo}))
    return home


def unexpected() -> int:
    raise AssertionError("nothing was to be made")


def test_a_whole_release_is_found(repository: Path) -> None:
    assert find_release(WANTED, repository) == 1


def test_other_data_need_another_release(repository: Path) -> None:
    found = find_release(replace(WANTED, fingerprint="0" * 64), repository)
    assert found == f"no release in {repository} was made from these data by this version's models"


def test_other_options_need_another_release(repository: Path) -> None:
    assert isinstance(find_release(replace(WANTED, recipe=Recipe("other", export_hash("fp32"))), repository), str)


def test_other_export_code_needs_another_release(repository: Path) -> None:
    assert isinstance(find_release(replace(WANTED, recipe=Recipe("0123456789ab", "other")), repository), str)


def test_a_damaged_release_is_not_served(repository: Path) -> None:
    (repository / "ease" / "1" / "model.onnx").unlink()
    assert find_release(WANTED, repository) == "release 1 is damaged (ease/1/model.onnx: is missing)"


def test_an_older_whole_release_stands_in_for_a_damaged_one(repository: Path) -> None:
    manifest = read_manifest(repository)
    write_manifest(repository, manifest.with_current(2, manifest.releases | {2: manifest.releases[1]}))
    assert find_release(WANTED, repository) == 1


def test_an_empty_repository_has_none(tmp_path: Path) -> None:
    assert find_release(WANTED, tmp_path) == f"{tmp_path} holds no release yet"


def test_unchanged_data_are_not_read_again(home: Path, data: Path) -> None:
    assert remembered(ReleaseOptions(str(data)), home) == WANTED


def test_changed_data_are_read_again(home: Path, data: Path) -> None:
    (data / "ratings.csv").write_text("userId,movieId,rating,timestamp\n1,1,5,1\n")
    assert remembered(ReleaseOptions(str(data)), home) is None


def test_other_options_are_looked_up(home: Path, data: Path) -> None:
    assert remembered(ReleaseOptions(str(data), hold_out="last5"), home) is None
    assert remembered(ReleaseOptions(str(data), seed=1), home) is None
    assert remembered(ReleaseOptions(str(data), device="cuda"), home) == WANTED


def test_a_relative_path_means_the_folder_here(
    home: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(data.parent)
    assert remembered(ReleaseOptions("data"), home) == WANTED
    other = tmp_path / "elsewhere" / "data"
    other.mkdir(parents=True)
    monkeypatch.chdir(other.parent)
    assert remembered(ReleaseOptions("data"), home) is None


def test_a_damaged_memo_is_forgotten(home: Path, data: Path) -> None:
    (home / "export-memo.json").write_text("{")
    assert remembered(ReleaseOptions(str(data)), home) is None


def test_nothing_is_made_when_a_release_is_there(home: Path, data: Path, repository: Path) -> None:
    said: list[str] = []
    assert ensure(ReleaseOptions(str(data)), repository, home, unexpected, said.append) == Ensured(1, made=False)
    assert said == []


def test_a_missing_release_is_made_and_the_reason_told(home: Path, data: Path, tmp_path: Path) -> None:
    said: list[str] = []
    assert ensure(ReleaseOptions(str(data)), tmp_path / "none", home, lambda: 7, said.append) == Ensured(7, made=True)
    assert said == [f"{tmp_path / 'none'} holds no release yet"]


def run_command(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-X", "importtime", "-m", "export", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, cwd=COMMITTED_REPOSITORY.parent, check=False)


def test_the_command_prints_the_number_alone_and_imports_nothing_slow(home: Path, data: Path, repository: Path) -> None:
    done = run_command("ensure", "--data", data, "--repository", repository, "--home", home, "--print-release")
    assert done.returncode == 0, done.stderr
    assert done.stdout == "1\n"
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines() if line.startswith("import time")}
    assert {"typer", "msgspec"} <= imported
    assert not imported & {"torch", "polars", "numpy", "tritonclient", "faiss", "onnx", "onnxruntime"}


def test_data_that_are_not_there_end_in_one_line(tmp_path: Path) -> None:
    done = run_command("ensure", "--data", tmp_path / "nowhere", "--repository", tmp_path, "--home", tmp_path / "home")
    assert done.returncode == 1
    assert "DataNotFound: no data at" in done.stderr.replace("\n", " ")
    assert "Traceback" not in done.stderr
