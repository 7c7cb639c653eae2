"""The Makefile's commands stop where they must."""

from __future__ import annotations

import subprocess
from pathlib import Path

from tests.conftest import ROOT


def test_serve_serves_nothing_else_when_the_release_cannot_be_made(tmp_path: Path) -> None:
    """`-o setup`: the environment is there, it is the one that runs this test."""
    places = [f"{name}={tmp_path / name.lower()}" for name in ("DATA", "MODEL_REPOSITORY", "MARQUEE_HOME")]
    command = ["make", "-o", "setup", "serve", *places]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=100, check=False)
    assert ended.returncode != 0
    assert str(tmp_path / "data") in "".join(ended.stderr.split())  # long lines are folded
    assert "release.json" not in ended.stdout + ended.stderr, "the service was started all the same"
