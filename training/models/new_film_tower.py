"""The vector of a new film, without events, in the fused space: from its text, poster, genres and year.

Text and poster slices are the film's own, as in the index. The slices that are learnt from events (sequence, two_tower,
ials) are predicted by a ridge regression fitted on the release's films; its penalty is chosen by leave-one-out error.
Where content does not predict such a slice, it is near zero, which is the neutral score. Popularity is that of the
average film: neutral, too.

Source: Gantner et al., "Learning Attribute-to-Feature Mappings for Cold-Start Recommendations", ICDM 2010.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from features.catalog import GENRES, Catalog
from features.sources import LEARNT_SOURCES, SOURCE_WIDTHS
from training.content.poster_encoder import POSTER_WIDTH
from training.content.text_encoder import TEXT_WIDTH
from training.content.vectors import ContentVectors
from training.data.item_features import ERA_CENTRES, ERA_WIDTH_YEARS

Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]

N_FEATURES = len(GENRES) + len(ERA_CENTRES) + 1 + SOURCE_WIDTHS["text"] + SOURCE_WIDTHS["poster"]

STRENGTHS = np.logspace(-3, 3, 13)
"""Ridge penalties tried, times the mean variance of a column."""


class KnownFilms(Protocol):
    """The films that the tower learns from: those of a finished training."""

    @property
    def catalog(self) -> Catalog: ...

    @property
    def content(self) -> ContentVectors: ...

    @property
    def item_vectors(self) -> dict[str, Float32]:
        """Source → (N, width) centred; zeros where a film has no such vector."""
        ...


class NewFilmTower(nn.Module):
    """Content of a film → its vector in the fused space. Zeros stand for "no text", "no poster", "no year"."""

    input_names = ("text_embedding", "poster_embedding", "genres", "year")
    output_names = ("item_vector",)

    era_centres: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.config: dict[str, Any] = {}
        self.register_buffer("era_centres", torch.from_numpy(ERA_CENTRES))
        for kind, wide in (("text", TEXT_WIDTH), ("poster", POSTER_WIDTH)):
            self.register_buffer(f"{kind}_components", torch.zeros(wide, SOURCE_WIDTHS[kind]))
            self.register_buffer(f"{kind}_offset", torch.zeros(SOURCE_WIDTHS[kind]))
        self.estimate = nn.Linear(N_FEATURES, sum(SOURCE_WIDTHS[source] for source in LEARNT_SOURCES))

    def forward(self, text_embedding: Tensor, poster_embedding: Tensor, genres: Tensor, year: Tensor) -> tuple[Tensor]:
        """(B, 384), (B, 2048), (B, 19) 0 or 1, (B, 1) → item_vector (B, D)."""
        text = project(text_embedding, self.text_components, self.text_offset)
        poster = project(poster_embedding, self.poster_components, self.poster_offset)
        dated = (year > 0).to(torch.float32)
        era = torch.exp(-0.5 * ((year - self.era_centres) / ERA_WIDTH_YEARS) ** 2) * dated
        learnt = self.estimate(torch.cat([genres, era, 1 - dated, text, poster], dim=1))
        parts = {"text": text, "poster": poster} | dict(
            zip(LEARNT_SOURCES, learnt.split([SOURCE_WIDTHS[source] for source in LEARNT_SOURCES], dim=1), strict=True)
        )
        neutral = torch.zeros_like(year)
        slices = [parts.get(source, neutral.expand(-1, width)) for source, width in SOURCE_WIDTHS.items()]
        return (torch.cat(slices, dim=1),)


def project(wide: Tensor, components: Any, offset: Any) -> Tensor:
    """(B, wide) → (B, narrow) centred; zeros stay zeros."""
    present = ((wide * wide).sum(dim=1, keepdim=True) > 0).to(torch.float32)
    return (wide @ components - offset) * present


@dataclass(frozen=True, slots=True)
class FittedTower:
    """The tower, and its quality."""

    module: NewFilmTower
    explained: dict[str, float]
    """Share of each learnt source's variance that content explains, leave-one-out, 0..1."""


def fit_new_film_tower(films: KnownFilms) -> FittedTower:
    """Fit the tower for a finished training, in closed form; equal trainings give equal towers."""
    module, content = NewFilmTower(), films.content
    for kind, projection, wide, present in (
        ("text", content.text_pca, content.text, content.text_present),
        ("poster", content.poster_pca, content.poster, content.poster_present),
    ):
        components = projection.components.astype(np.float64)
        # Minus the mean of the films that have one: the index's slices are centred over them.
        offset = wide[present].mean(axis=0, dtype=np.float64) @ components if present.any() else np.zeros(1)
        getattr(module, f"{kind}_components").copy_(torch.from_numpy(components))
        getattr(module, f"{kind}_offset").copy_(torch.from_numpy(np.broadcast_to(offset, components.shape[1]).copy()))
    features, start, explained = _features(films), 0, {}
    with torch.no_grad():
        module.estimate.weight.zero_()
        module.estimate.bias.zero_()
        for source in LEARNT_SOURCES:
            weights, bias, explained[source] = ridge(features, films.item_vectors[source])
            rows = slice(start, start := start + SOURCE_WIDTHS[source])
            module.estimate.weight[rows] = torch.from_numpy(weights.T.astype(np.float32))
            module.estimate.bias[rows] = torch.from_numpy(bias.astype(np.float32))
    return FittedTower(module.eval(), explained)


def tower_inputs(films: KnownFilms) -> dict[str, Float32]:
    """The tower's inputs for each film of the release, (N, …)."""
    years = [[film.year or 0] for film in films.catalog.films]
    return {
        "text_embedding": films.content.text * films.content.text_present[:, None],
        "poster_embedding": films.content.poster * films.content.poster_present[:, None],
        "genres": films.catalog.genre_matrix,
        "year": np.array(years, dtype=np.float32).reshape(-1, 1),
    }


def _features(films: KnownFilms) -> Float64:
    inputs = tower_inputs(films)
    year = inputs["year"].astype(np.float64)
    dated = year > 0
    era = np.exp(-0.5 * ((year - ERA_CENTRES) / ERA_WIDTH_YEARS) ** 2) * dated
    vectors = films.item_vectors
    columns = [inputs["genres"], era, 1 - dated, vectors["text"], vectors["poster"]]
    return np.concatenate(columns, axis=1).astype(np.float64)


def ridge(features: Float64, targets: Float32) -> tuple[Float64, Float64, float]:
    """Weights (F, W) and bias (W,) of targets (N, W) on features (N, F), and the share of variance explained.

    Films without a target (all zero) take no part. The penalty is the one with the smallest leave-one-out error; when
    none beats the mean of the targets, the result is that mean. With fewer than three films the result is 0.
    """
    has = (targets != 0).any(axis=1)
    x, y = features[has], targets[has].astype(np.float64)
    if len(x) < 3:
        return np.zeros((features.shape[1], targets.shape[1])), np.zeros(targets.shape[1]), 0.0
    mean_x, mean_y = x.mean(axis=0), y.mean(axis=0)
    x, y = x - mean_x, y - mean_y
    variances, axes = np.linalg.eigh(x.T @ x)
    variances, turned = np.maximum(variances, 0), x @ axes
    products = turned.T @ y
    total, best = float((y**2).sum()), (0.0, np.zeros((x.shape[1], y.shape[1])))
    for strength in STRENGTHS * max(float(variances.mean()), 1e-12):
        shrunk = 1 / (variances + strength)
        leverage = (turned**2 * shrunk).sum(axis=1) + 1 / len(x)  # the mean is estimated, too
        left_out = (y - turned @ (shrunk[:, None] * products)) / np.maximum(1 - leverage, 1e-6)[:, None]
        explained = 1 - float((left_out**2).sum()) / max(total, 1e-12)
        if explained > best[0]:
            best = explained, axes @ (shrunk[:, None] * products)
    explained, weights = best
    bias = mean_y - mean_x @ weights if explained > 0 else np.zeros(targets.shape[1])
    return weights, bias, explained
