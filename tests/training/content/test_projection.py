"""Tests of the principal components that bring content vectors to the fused space's width."""

from __future__ import annotations

import numpy as np

from training.content.projection import fit_projection


def points_on_a_line(n: int = 9) -> np.ndarray:
    """(n, 3) along (3, 4, 0) / 5 around (10, 0, 2), at distances -4 .. 4."""
    distances = np.arange(n, dtype=np.float32) - n // 2
    return np.array([10, 0, 2], dtype=np.float32) + distances[:, None] * np.array([0.6, 0.8, 0], dtype=np.float32)


def test_first_component_is_the_direction_of_most_variance() -> None:
    projection = fit_projection(points_on_a_line(), 1)
    np.testing.assert_allclose(projection.mean, [10, 0, 2], atol=1e-6)
    np.testing.assert_allclose(projection.components[:, 0], [0.6, 0.8, 0], atol=1e-6)


def test_projection_keeps_distances_along_the_components() -> None:
    projected = fit_projection(points_on_a_line(), 1)(points_on_a_line())
    np.testing.assert_allclose(projected[:, 0], np.arange(9) - 4, atol=1e-5)


def test_directions_that_the_data_lacks_are_zero() -> None:
    projection = fit_projection(points_on_a_line(), 3)
    assert projection.components.shape == (3, 3)
    assert not projection.components[:, 1:].any()


def test_fewer_films_than_columns_are_padded_with_zeros() -> None:
    vectors = np.eye(4, 10, dtype=np.float32)
    projected = fit_projection(vectors, 6)(vectors)
    assert projected.shape == (4, 6)
    assert projected[:, :3].any(axis=0).all()
    assert not projected[:, 3:].any()


def test_many_and_few_films_give_the_same_axes() -> None:
    # 20 films go through the singular values, 20 copies of them (400 > 30 columns) through the covariance
    few = np.random.default_rng(0).normal(size=(20, 30)).astype(np.float32)
    many = np.tile(few, (20, 1))
    np.testing.assert_allclose(fit_projection(few, 8).components, fit_projection(many, 8).components, atol=1e-4)


def test_all_components_together_keep_every_inner_product() -> None:
    vectors = np.random.default_rng(1).normal(size=(12, 5)).astype(np.float32)
    centred = vectors - vectors.mean(axis=0)
    projected = fit_projection(vectors, 5)(vectors)
    np.testing.assert_allclose(projected @ projected.T, centred @ centred.T, atol=1e-5)


def test_no_vectors_give_a_projection_to_zero() -> None:
    projection = fit_projection(np.zeros((0, 5), dtype=np.float32), 3)
    assert not projection(np.ones((2, 5), dtype=np.float32)).any()


def test_one_vector_projects_to_zero() -> None:
    assert not fit_projection(np.ones((1, 5), dtype=np.float32), 3)(np.ones((1, 5), dtype=np.float32)).any()
