"""A release of the genre world on disk, and a pipeline over it with stores in memory."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from bento.release.loading import Release, load_release
from tests.recommender import genre_world
from tests.recommender.world import World, build_world


@pytest.fixture(scope="session")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Read only; tests that damage a release write their own."""
    folder = tmp_path_factory.mktemp("model_repository")
    genre_world.write_release(folder)
    return folder


@pytest.fixture(scope="session")
def shared(repository: Path) -> Release:
    """Tests that change its films load one of their own."""
    return load_release(repository)


@pytest.fixture
def release(shared: Release) -> Release:
    return shared


@pytest.fixture
def make_world(shared: Release) -> Callable[..., World]:
    """See `build_world`; the release is the shared one unless another is given."""
    return partial(build_world, shared)


@pytest.fixture
def world(make_world: Callable[..., World]) -> World:
    return make_world()
