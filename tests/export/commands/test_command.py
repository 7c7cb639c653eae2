"""`python -m export` on the command line."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import pytest
from typer.testing import CliRunner

from export.__main__ import app
from export.commands.release_options import HoldOut, ReleaseOptions
from export.errors import ReleaseRefused
from export.release.manifest import read_manifest
from export.release.quality_gate import check_quality
from training.data.splits import Protocol
from training.options import TrainOptions

runner = CliRunner()
ROOT = Path(__file__).resolve().parents[3]


def test_a_whole_release_validates_with_status_0(exported: Path) -> None:
    done = runner.invoke(app, ["validate", "--repository", str(exported)])
    assert done.exit_code == 0
    assert done.stdout.startswith("Release 1 is whole: 19 models, ")


def test_a_damaged_release_validates_with_status_1_and_says_why(repository: Path) -> None:
    (repository / "ease" / "1" / "model.onnx").unlink()
    done = runner.invoke(app, ["validate", "--repository", str(repository)])
    assert done.exit_code == 1
    assert done.stdout == "ease/1/model.onnx: is missing\n"


def test_validating_a_release_that_is_not_there_says_which_are(exported: Path) -> None:
    done = runner.invoke(app, ["validate", "--repository", str(exported), "--release", "4"])
    assert done.exit_code == 1


def test_list_marks_the_current_release_and_simulated_people(exported: Path) -> None:
    done = runner.invoke(app, ["list", "--repository", str(exported)])
    assert done.exit_code == 0
    line = next(line for line in done.stdout.splitlines() if line.startswith("*"))
    assert line.split()[1] == "1"
    assert "tiny" in line
    assert "0.2000" in line


def test_list_of_an_empty_repository_says_so(tmp_path: Path) -> None:
    assert "holds no release" in runner.invoke(app, ["list", "--repository", str(tmp_path)]).stdout.replace("\n", " ")


def test_use_switches_the_current_release(repository: Path) -> None:
    assert runner.invoke(app, ["use", "1", "--repository", str(repository)]).exit_code == 0
    assert runner.invoke(app, ["use", "2", "--repository", str(repository)]).exit_code == 1


@pytest.mark.parametrize("command", ["run", "ensure", "validate", "list", "use"])
def test_every_command_teaches(command: str) -> None:
    done = runner.invoke(app, [command, "--help"])
    assert done.exit_code == 0
    assert "--repository" in done.stdout


def test_choices_are_those_of_training() -> None:
    assert set(get_args(HoldOut)) == {str(protocol) for protocol in Protocol}
    assert ReleaseOptions("sample").train_options().hash == TrainOptions().hash
    assert ReleaseOptions("sample", hold_out="last5", seed=3, posters=False).train_options().hash != TrainOptions().hash


def test_a_worse_release_is_refused_beyond_the_margin(exported: Path) -> None:
    from msgspec.structs import replace

    manifest = read_manifest(exported)
    current = manifest.releases[1]  # NDCG@10 0.2
    worse = replace(current, metrics={"validation": {"sources": {"hybrid": {"ndcg@10": {"mean": 0.17}}}}})
    check_quality(worse, manifest, max_loss_ratio=0.2)
    with pytest.raises(ReleaseRefused, match=r"ndcg@10 would fall from 0\.2000 to 0\.1700, .* margin of 10%"):
        check_quality(worse, manifest, max_loss_ratio=0.1)
    gone_back = replace(manifest, releases=manifest.releases | {2: worse}, current=1)
    with pytest.raises(ReleaseRefused, match=r"would fall from 0\.2000 to 0\.1700"):  # nearly as bad as what was left
        check_quality(worse, gone_back, max_loss_ratio=0.1)
    other_data = replace(worse, data=replace(worse.data, fingerprint="0" * 64))
    check_quality(other_data, manifest, max_loss_ratio=0.1)
