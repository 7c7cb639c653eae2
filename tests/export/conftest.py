"""Fixtures: Triton's Python backend as a stand-in, a tiny training, and a release exported from it."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest

from export.release.build import PYTHON_MODELS, PublishOptions, export_release
from tests.export.tiny_world import TinyWorld, tiny_world
from tests.export.triton_stand_in import LoadedModel, pb_utils_module


@pytest.fixture(scope="module")
def pb_utils() -> Iterator[ModuleType]:
    """The stand-in, importable as `triton_python_backend_utils` while one module of tests runs, and no longer."""
    module = pb_utils_module()
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, module.__name__, module)
        yield module


@pytest.fixture(scope="module")
def load_python_model(pb_utils: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., LoadedModel]:
    """Lays out a version folder of a Python-backend model and loads it: (name, files to copy, files to write)."""

    def load(name: str, copies: list[Path], files: dict[str, bytes]) -> LoadedModel:
        folder = tmp_path_factory.mktemp(name) / "1"
        folder.mkdir()
        shutil.copy(PYTHON_MODELS / f"{name}.py", folder / "model.py")
        for path in copies:
            shutil.copy(path, folder)
        for filename, content in files.items():
            (folder / filename).write_bytes(content)
        return LoadedModel(folder, name)

    return load


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> TinyWorld:
    return tiny_world(tmp_path_factory.mktemp("posters"))


@pytest.fixture(scope="session")
def exported(world: TinyWorld, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with release 1 of the tiny world. Read only: tests that change something take `repository`."""
    repository = tmp_path_factory.mktemp("model_repository")
    assert export_release(world.trained, world.dataset, repository, PublishOptions()) == 1
    return repository


@pytest.fixture
def repository(exported: Path, tmp_path: Path) -> Path:
    """A copy of `exported` to change."""
    return shutil.copytree(exported, tmp_path / "model_repository")
