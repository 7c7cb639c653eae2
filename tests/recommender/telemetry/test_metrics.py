"""The metrics folder: one per running server."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from bento.recommender.telemetry.metrics import FOLDER_VARIABLE, use_own_folder


def test_outside_of_a_bentoml_worker_nothing_is_touched(tmp_path: Path) -> None:
    environment: dict[str, str] = {}
    use_own_folder(tmp_path, environment)
    assert environment == {}
    assert list(tmp_path.iterdir()) == []


def test_a_worker_gets_its_servers_own_folder(tmp_path: Path) -> None:
    environment = {FOLDER_VARIABLE: "/the/one/of/all"}
    use_own_folder(tmp_path, environment)
    folder = Path(environment[FOLDER_VARIABLE])
    assert folder == tmp_path / "metrics" / str(os.getppid())
    assert folder.is_dir()


def test_folders_of_servers_that_ended_are_removed(tmp_path: Path) -> None:
    ended = subprocess.Popen(["true"])
    ended.wait()
    (tmp_path / "metrics" / str(ended.pid)).mkdir(parents=True)
    (tmp_path / "metrics" / str(os.getpid())).mkdir()
    use_own_folder(tmp_path, {FOLDER_VARIABLE: "x"})
    assert {folder.name for folder in (tmp_path / "metrics").iterdir()} == {str(os.getpid()), str(os.getppid())}


def test_files_of_workers_that_ended_are_removed_and_what_is_not_ours_is_let_be(tmp_path: Path) -> None:
    ended = subprocess.Popen(["true"])
    ended.wait()
    own = tmp_path / "metrics" / str(os.getppid())
    (tmp_path / "metrics" / "lost+found").mkdir(parents=True)
    own.mkdir()
    for pid in (ended.pid, os.getpid(), os.getppid()):
        (own / f"gauge_min_{pid}.db").touch()
    use_own_folder(tmp_path, {FOLDER_VARIABLE: "x"})
    assert [file.name for file in own.iterdir()] == [f"gauge_min_{os.getppid()}.db"]
    assert (tmp_path / "metrics" / "lost+found").is_dir()
