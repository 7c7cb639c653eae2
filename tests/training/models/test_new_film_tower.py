"""Placing films that nobody has watched: what content explains is found, what it does not stays neutral."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from features.sources import FUSED_WIDTH, source_slices
from tests.export.tiny_world import N_FILMS, tiny_world
from training.models.new_film_tower import fit_new_film_tower, ridge, tower_inputs


@pytest.fixture
def features() -> np.ndarray:
    return np.random.default_rng(0).standard_normal((400, 12))


def test_a_linear_world_is_explained(features: np.ndarray) -> None:
    truth = np.random.default_rng(1).standard_normal((12, 5))
    weights, bias, explained = ridge(features, (features @ truth + 3).astype(np.float32))
    np.testing.assert_allclose(weights, truth, atol=0.01)
    np.testing.assert_allclose(bias, 3, atol=0.01)
    assert explained > 0.999


def test_what_content_does_not_explain_stays_neutral(features: np.ndarray) -> None:
    noise = np.random.default_rng(2).standard_normal((400, 64)).astype(np.float32)
    weights, bias, explained = ridge(features, noise)
    assert explained < 0.02
    assert np.abs(features @ weights + bias).mean() < 0.2  # the noise itself has mean size 0.8


def test_leaving_one_out_is_what_it_says(features: np.ndarray) -> None:
    x, y = features[:25], np.random.default_rng(3).standard_normal((25, 2)).astype(np.float32)
    y += (x[:, :2] * 2).astype(np.float32)
    _, _, explained = ridge(x, y)
    errors = []
    for strength in np.logspace(-3, 3, 13) * np.linalg.eigvalsh((x - x.mean(0)).T @ (x - x.mean(0))).mean():
        squares = 0.0
        for out in range(25):
            kept = np.arange(25) != out
            centred = x[kept] - x[kept].mean(0)
            gram = centred.T @ centred + strength * np.eye(12)
            weights = np.linalg.solve(gram, centred.T @ (y[kept] - y[kept].mean(0)))
            squares += float(((y[out] - y[kept].mean(0) - (x[out] - x[kept].mean(0)) @ weights) ** 2).sum())
        errors.append(squares)
    expected = 1 - min(errors) / float(((y - y.mean(0)) ** 2).sum())
    assert explained == pytest.approx(expected, abs=1e-6)


def test_films_without_a_vector_take_no_part(features: np.ndarray) -> None:
    targets = (features @ np.ones((12, 1))).astype(np.float32)
    targets[200:] = 0
    weights, _, explained = ridge(features, targets)
    np.testing.assert_allclose(weights, 1, atol=0.01)
    assert explained > 0.999


def test_two_films_say_nothing(features: np.ndarray) -> None:
    weights, bias, explained = ridge(features[:2], np.ones((2, 3), dtype=np.float32))
    assert (np.abs(weights).max(), np.abs(bias).max(), explained) == (0, 0, 0)


def test_a_film_of_the_release_keeps_its_own_content(tmp_path: Path) -> None:
    trained = tiny_world(tmp_path).trained
    module = fit_new_film_tower(trained).module
    inputs = tower_inputs(trained)
    with torch.no_grad():
        (vectors,) = module(*(torch.from_numpy(inputs[name]) for name in module.input_names))
    assert vectors.shape == (N_FILMS, FUSED_WIDTH)
    for source in ("text", "poster"):
        columns = source_slices()[source]
        np.testing.assert_allclose(vectors[:, columns].numpy(), trained.item_vectors[source], atol=1e-5)
    assert (vectors[:, source_slices()["popularity"]] == 0).all()


def test_a_release_without_posters_leaves_their_slice_empty(tmp_path: Path) -> None:
    trained = tiny_world(tmp_path, with_posters=False).trained
    module = fit_new_film_tower(trained).module
    inputs = tower_inputs(trained)
    with torch.no_grad():
        (vectors,) = module(*(torch.from_numpy(inputs[name]) for name in module.input_names))
    assert (vectors[:, source_slices()["poster"]] == 0).all()
    assert torch.isfinite(vectors).all()
