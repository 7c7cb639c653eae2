"""SVD of ratings: predicts stars. A baseline: its RMSE is reported, nothing is chosen by it.

rating = mean + person's deviation + film's deviation + dot product of factors; the factors are the singular vectors
of the residuals. Source: Koren, Bell, Volinsky, "Matrix Factorization Techniques", 2009, section 4.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import sparse

from training.data.dataset import MAX_RATING, MIN_RATING, Events

Float32 = npt.NDArray[np.float32]

OVERSAMPLING = 8
POWER_STEPS = 4
"""Power iterations of the randomised SVD; the spectrum of ratings falls slowly."""


@dataclass(frozen=True, slots=True)
class SvdConfig:
    """Size of the factors, and shrinkage of the deviations."""

    width: int = 32
    person_prior: float = 5.0
    """Average ratings added to each person's before their deviation is computed; likewise for films."""
    film_prior: float = 5.0


@dataclass(frozen=True, slots=True)
class RatingModel:
    """Deviations and factors; rows of people and films as in the events it was fitted on."""

    mean: float
    person: Float32
    """(U,)"""
    film: Float32
    """(N,)"""
    person_factors: Float32
    """(U, D)"""
    film_factors: Float32
    """(N, D)"""

    def predict(self, user_rows: npt.NDArray[np.integer], item_rows: npt.NDArray[np.integer]) -> Float32:
        """Stars, 0.5 to 5, for pairs of people and films."""
        taste = (self.person_factors[user_rows] * self.film_factors[item_rows]).sum(axis=1)
        stars = self.mean + self.person[user_rows] + self.film[item_rows] + taste
        return np.clip(stars, MIN_RATING, MAX_RATING).astype(np.float32)


def fit_svd(events: Events, n_people: int, n_items: int, config: SvdConfig, seed: int = 0) -> RatingModel:
    """Fit on rated events."""
    mean = float(events.ratings.mean())
    film = shrunken_mean(events.ratings - mean, events.item_rows, n_items, config.film_prior)
    left = events.ratings - mean - film[events.item_rows]
    person = shrunken_mean(left, events.user_rows, n_people, config.person_prior)
    left = left - person[events.user_rows]
    table = sparse.csr_matrix((left, (events.user_rows, events.item_rows)), shape=(n_people, n_items))
    person_factors, film_factors = factors(table, min(config.width, *table.shape), seed)
    return RatingModel(mean, person, film, person_factors, film_factors)


def factors(table: sparse.csr_matrix, width: int, seed: int) -> tuple[Float32, Float32]:
    """(U, D), (N, D) whose product is the best approximation of a table (U, N); zeros when the table is all zero.

    Source: Halko, Martinsson, Tropp, "Finding Structure with Randomness", 2011, algorithm 4.4.
    """
    rng = np.random.default_rng(seed)
    span = np.linalg.qr(table @ rng.normal(size=(table.shape[1], min(width + OVERSAMPLING, *table.shape))))[0]
    for _ in range(POWER_STEPS):
        span = np.linalg.qr(table @ np.linalg.qr(table.T @ span)[0])[0]
    left, strength, right = np.linalg.svd((table.T @ span).T, full_matrices=False)
    people = (span @ left * strength)[:, :width]
    return people.astype(np.float32), right[:width].T.astype(np.float32)


def shrunken_mean(values: Float32, rows: npt.NDArray[np.integer], n_rows: int, prior: float) -> Float32:
    """(n_rows,) sum of each row's values over their count plus `prior`; 0 for a row without values."""
    total = np.bincount(rows, values, minlength=n_rows)
    return (total / (np.bincount(rows, minlength=n_rows) + prior)).astype(np.float32)


def rmse(predicted: Float32, ratings: Float32) -> float:
    """Root of the mean squared error, in stars."""
    return float(np.sqrt(np.mean((predicted - ratings) ** 2)))
