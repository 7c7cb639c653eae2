"""A release that the commands read."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.recommender import genre_world


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    folder = tmp_path / "model_repository"
    folder.mkdir()
    genre_world.write_release(folder)
    return folder
