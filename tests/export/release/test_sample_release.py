"""The release of the embedded sample: whole, found again, and answering with the vectors it was built with."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from export.commands.ensure import find_release, remembered
from export.commands.release_options import ReleaseOptions
from export.graphs.onnx_graphs import onnx_run
from export.layout import COMMITTED_REPOSITORY, MODELS, version_folder
from export.release.manifest import read_manifest
from export.release.validate import validate
from features.catalog import Catalog
from features.text import film_text
from tests.export.triton_stand_in import LoadedModel
from training.data.location import locate_data

# Whoever asks first for the release trains it, posters and all.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

SAME_VECTOR = 1e-4
"""Vectors of length 1, computed in batches of other sizes and by another runtime."""


@pytest.fixture
def run(sample_release: Any, pb_utils: Any) -> Callable[..., dict[str, Any]]:
    """Runs one model of the release: Python-backend models in the stand-in, graphs in onnxruntime."""

    def run(model: str, inputs: dict[str, Any]) -> dict[str, Any]:
        folder = version_folder(sample_release.repository, model, sample_release.number)
        if (folder / "model.onnx").exists():
            return onnx_run(folder / "model.onnx")(inputs)
        return LoadedModel(folder, model).infer(inputs)[0]

    return run


@pytest.fixture
def folder(sample_release: Any) -> Path:
    return version_folder(sample_release.repository, "retrieval", sample_release.number)


def test_it_is_whole_and_has_every_model(sample_release: Any) -> None:
    assert validate(sample_release.repository, sample_release.number) == []
    release = read_manifest(sample_release.repository).releases[sample_release.number]
    assert set(release.models) == set(MODELS)
    assert release.data.simulated
    assert release.coverage == {"text": 1.0, "poster": 1.0}


def test_it_is_found_again_without_reading_the_data(sample_release: Any) -> None:
    wanted = remembered(ReleaseOptions("sample"), sample_release.home)
    assert wanted is not None
    assert find_release(wanted, sample_release.repository) == sample_release.number


def test_texts_become_the_stored_vectors(run: Callable[..., Any], folder: Path) -> None:
    films = Catalog.load(folder / "catalog.json").films[:5]
    tokens = run("tokenizer", {"TEXT": np.array([[film_text(film).encode()] for film in films], dtype=object)})
    given = run("text_encoder", tokens)["embedding"]
    np.testing.assert_allclose(given, np.load(folder / "text_vectors.npy")[:5], atol=SAME_VECTOR)


def test_posters_become_the_stored_vectors(run: Callable[..., Any], folder: Path, sample_release: Any) -> None:
    films = Catalog.load(folder / "catalog.json").films[:5]
    posters = locate_data("sample", sample_release.home) / "posters"
    images = [[(posters / f"{film.movie_id}.jpg").read_bytes()] for film in films]
    pixels = run("image_decoder", {"IMAGE": np.array(images, dtype=object)})
    given = run("image_encoder", pixels)["embedding"]
    np.testing.assert_allclose(given, np.load(folder / "poster_vectors.npy")[:5], atol=SAME_VECTOR)


def test_the_command_validates_it(sample_release: Any) -> None:
    command = [sys.executable, "-m", "export", "validate", "--repository", str(sample_release.repository)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=COMMITTED_REPOSITORY.parent, check=False)
    assert done.returncode == 0, done.stdout
