"""Side features of films for the item tables: genre, era, content, and statistics of their ratings.

A film without events still gets a vector from these, so that it can be recommended at once.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from features.catalog import Catalog
from features.history import SECONDS_PER_DAY
from training.data.dataset import Events

Float32 = npt.NDArray[np.float32]

ERA_CENTRES = np.array([1920, 1935, 1945, 1955, 1965, 1972, 1978, *range(1983, 2030, 4)], dtype=np.float32)
"""Years of the bumps that describe a film's era; dense where catalogues are."""

ERA_WIDTH_YEARS = 4.0
PRIOR_RATINGS = 5.0
"""Ratings of average size that a film's mean is shrunk by."""

TREND_DAYS = 365.0
"""A film's trend is its share of events in this last stretch against its share overall."""


@dataclass(frozen=True, slots=True)
class ItemFeatures:
    """Feature columns of each film. All (N, …) and roughly of unit size."""

    genres: Float32
    """(N, 19) 0 or 1."""
    era: Float32
    """(N, bumps + 1) Gaussian bumps over years; the last column is 1 where the year is unknown."""
    content: Float32
    """(N, Dc) text and poster vectors in PCA space; 0 columns when there are none."""
    statistics: Float32
    """(N, 4) log count, shrunken mean rating, deviation, trend; computed from training events alone."""

    @property
    def static(self) -> Float32:
        """(N, F) columns that do not depend on events: genre, era, content."""
        return np.concatenate([self.genres, self.era, self.content], axis=1)

    @property
    def profile(self) -> Float32:
        """(N, G) columns that a person's side features are averages of: genre and era."""
        return np.concatenate([self.genres, self.era], axis=1)

    @property
    def all(self) -> Float32:
        """(N, F) everything."""
        return np.concatenate([self.static, self.statistics], axis=1)


def item_features(catalog: Catalog, events: Events, content: Float32) -> ItemFeatures:
    """Features of a catalogue; content is (N, Dc), zeros where a film has no such vector."""
    return ItemFeatures(
        catalog.genre_matrix, era(catalog), content.astype(np.float32), statistics(events, len(catalog))
    )  # fmt: skip


def era(catalog: Catalog) -> Float32:
    """(N, bumps + 1) the era columns."""
    years = np.array([film.year if film.year is not None else np.nan for film in catalog.films], dtype=np.float32)
    bumps = np.exp(-0.5 * ((years[:, None] - ERA_CENTRES) / ERA_WIDTH_YEARS) ** 2)
    unknown = np.isnan(years)
    return np.concatenate([np.where(unknown[:, None], 0, bumps), unknown[:, None]], axis=1).astype(np.float32)


def statistics(events: Events, n_items: int) -> Float32:
    """(N, 4) the statistics columns; a film without ratings has the mean film's, one without events no trend."""
    count = np.bincount(events.item_rows, minlength=n_items).astype(np.float64)
    stars = events.ratings > 0
    rated = np.bincount(events.item_rows[stars], minlength=n_items).astype(np.float64)
    total = np.bincount(events.item_rows, events.ratings, minlength=n_items)
    squares = np.bincount(events.item_rows, events.ratings.astype(np.float64) ** 2, minlength=n_items)
    overall = events.ratings[stars].mean() if stars.any() else 0.0
    mean = (total + PRIOR_RATINGS * overall) / (rated + PRIOR_RATINGS)
    deviation = np.sqrt(np.maximum(squares / np.maximum(rated, 1) - (total / np.maximum(rated, 1)) ** 2, 0))
    newest = events.timestamps_s.max() if len(events) else 0
    recent = np.bincount(
        events.item_rows[events.timestamps_s > newest - TREND_DAYS * SECONDS_PER_DAY], minlength=n_items
    )
    trend = np.log((recent + 1) / (recent.sum() + n_items)) - np.log((count + 1) / (count.sum() + n_items))
    columns = (np.log1p(count) / 3, mean - overall, deviation, trend)
    return np.stack(columns, axis=1).astype(np.float32)
