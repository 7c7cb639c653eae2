"""Which changes of the code make a release stale."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from export.layout import ROOT
from export.release.recipe import export_hash, release_sources


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A checkout with a file in each of some folders."""
    for name in (
        "features/text.py", "training/models/ials.py", "training/content/text_encoder.py", "training/train.py",
        "export/layout.py", "export/__main__.py",
        "export/graphs/parity.py", "export/new_room/more.py", "export/commands/ensure.py",
        "export/evaluation/client.py", "bento/release.py",
    ):  # fmt: skip
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("")
    return tmp_path


def test_all_that_shapes_a_release_counts_and_what_only_asks_for_one_does_not(tree: Path) -> None:
    assert [str(path.relative_to(tree)) for path in release_sources(tree)] == [
        "export/graphs/parity.py",
        "export/layout.py",
        "export/new_room/more.py",
        "features/text.py",
        "training/content/text_encoder.py",
        "training/models/ials.py",
    ]


def test_whatever_writing_a_release_imports_counts() -> None:
    program = "import sys, export.release.build; print(*(module.__file__ for module in sys.modules.values() if getattr("
    program += "module, '__file__', None) and module.__name__.partition('.')[0] in ('export', 'features')), sep='\\n')"
    told = subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    imported = {Path(line) for line in told.splitlines()}
    assert ROOT / "export" / "graphs" / "networks.py" in imported
    assert imported <= set(release_sources())


def test_precision_and_index_make_another_release() -> None:
    assert len({export_hash("fp32"), export_hash("int8"), export_hash("fp32", "ivf")}) == 3
