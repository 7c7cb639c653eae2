"""The notebooks run from the first cell to the last, and are kept without what they printed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest
from rich.progress import Progress
from typer.testing import CliRunner

from tests.conftest import ROOT
from tests.training.test_train import for_epochs
from tests.training.worlds import no_content
from training.__main__ import app
from training.checkpoint import checkpoint_folder
from training.data.dataset import read_dataset
from training.data.location import locate_data
from training.options import TrainOptions
from training.train import fit_release

pytestmark = pytest.mark.usefixtures("one_thread")

NOTEBOOKS = sorted((ROOT / "docs" / "notebooks").glob("*.ipynb"))


def cells(path: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = orjson.loads(path.read_bytes())["cells"]
    return found


def executed(path: Path) -> str:
    """Run a notebook; everything that its cells printed or showed as text."""
    nbclient = pytest.importorskip("nbclient", reason="needs the extra `lab` (make lab)")
    import nbformat

    notebook = nbformat.read(path, as_version=4)
    nbclient.NotebookClient(notebook, timeout=120, kernel_name="python3").execute()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    return "\n".join(output.get("text", "") or output.get("data", {}).get("text/plain", "") for output in outputs)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_notebooks_are_kept_without_outputs(path: Path) -> None:
    code = [cell for cell in cells(path) if cell["cell_type"] == "code"]

    assert code
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in code)


@pytest.mark.slow
def test_the_exploration_runs(movielens_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done = CliRunner().invoke(app, ["prepare", "--data", str(movielens_folder), "--out", str(tmp_path)])
    assert done.exit_code == 0
    monkeypatch.setenv("PREPARED", str(tmp_path))

    shown = executed(ROOT / "docs" / "notebooks" / "explore.ipynb")

    # 40 people of 12 events over 24 films; five each are the test.
    assert "480 events of 40 people on 24 films" in shown
    assert "200 events of 40 people to predict" in shown


@pytest.mark.slow
def test_the_analysis_of_embeddings_runs(
    movielens_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = read_dataset(locate_data(str(movielens_folder), tmp_path))
    checkpoint = fit_release(dataset, no_content(24), for_epochs(1), Progress(disable=True))
    checkpoint.save(checkpoint_folder(dataset, tmp_path, TrainOptions()))
    out = tmp_path / "vectors"
    where = ["--data", str(movielens_folder), "--home", str(tmp_path), "--out", str(out)]
    assert CliRunner().invoke(app, ["embeddings", *where]).exit_code == 0
    monkeypatch.setenv("VECTORS", str(out))

    shown = executed(ROOT / "docs" / "notebooks" / "embeddings.ipynb")

    assert "24 films and 40 people" in shown
    assert "at random" in shown
