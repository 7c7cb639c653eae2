"""The re-ranker: an MLP that adds a correction to the blend's score of a person's best candidates.

    score(i) = sum_s contribution_s(i) + correction(i)

Its features have the same meaning in every training: z-scores of the sources, facts of the film, statistics of the
history, the match of the film's genres and era with it. Coordinates of embeddings are not among them: the re-ranker
is trained with the trial's encoders and served with the release's, whose axes differ.
The correction starts at 0, so that an untrained re-ranker is the dot product.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from features.catalog import GENRES, Catalog
from features.sources import NEIGHBOUR_SOURCE, SOURCES
from training.data.dataset import Events
from training.data.item_features import ERA_CENTRES, era, statistics
from training.models.seeded_dropout import SeededDropout
from training.models.serving import HISTORY_INPUTS, is_present, steps_back
from training.models.two_tower import SIDE_SCALARS, side_features

Float32 = npt.NDArray[np.float32]

SCORER_INPUTS = (*HISTORY_INPUTS, "candidate_rows", "contributions", "weights")
"""Inputs of both scorers, so that they are interchangeable."""

N_ERAS = len(ERA_CENTRES) + 1
N_FACTS = 4 + 1
"""Statistics of a film, and its year."""

N_FEATURES = len(SOURCES) + 3 + N_FACTS + SIDE_SCALARS + 2 * 3

LARGEST_Z = 8.0
"""z-scores are clipped to this: EASE's reach into the hundreds for the one neighbour of a rare film."""

NO_FILM = float("-inf")
"""Score of a place without a film, as retrieval has it."""

OUT_OF_REACH = 1e9


@dataclass(frozen=True, slots=True)
class MlpScorerConfig:
    """Network and training of the re-ranker."""

    hidden: int = 16
    dropout: float = 0.2
    earlier_lists: int = 4
    """Lists of an unseen person at earlier points of their history, which the trial was not trained on."""
    learning_rate: float = 1e-3
    weight_decay: float = 1e-2
    lists_per_batch: int = 32
    epochs: int = 8
    folds: int = 4
    """Folds of the validation people, each scored by a network trained on the others, to choose the epochs."""
    stop_after: int | None = None
    """Epochs of the last fit; None = the best number of the folds."""


class DotScorer(nn.Module):
    """The blend itself: the sum of the sources' dot products."""

    input_names = SCORER_INPUTS
    output_names = ("scores",)

    def __init__(self) -> None:
        super().__init__()
        self.config: dict[str, Any] = {}

    def forward(
        self, history: Tensor, ratings: Tensor, age_days: Tensor, candidate_rows: Tensor, contributions: Tensor,
        weights: Tensor,
    ) -> tuple[Tensor]:  # fmt: skip
        """As `MlpScorer`."""
        return (torch.where(candidate_rows < 0, NO_FILM, contributions.sum(dim=2)),)


class MlpScorer(nn.Module):
    """The blend's scores with a learnt correction."""

    input_names = SCORER_INPUTS
    output_names = ("scores",)
    facts: Tensor
    profiles: Tensor
    middle: Tensor
    spread: Tensor

    def __init__(self, n_items: int, hidden: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.config: dict[str, Any] = {"n_items": n_items, "hidden": hidden}
        self.n_items = n_items
        # Row 0 is padding; the last row is for films that the release does not have.
        self.register_buffer("facts", torch.zeros(n_items + 2, N_FACTS))
        self.register_buffer("profiles", torch.zeros(n_items + 2, len(GENRES) + N_ERAS))
        self.register_buffer("middle", torch.zeros(N_FEATURES))
        self.register_buffer("spread", torch.ones(N_FEATURES))
        self.layers = nn.Sequential(
            nn.Linear(N_FEATURES, hidden), nn.ReLU(), SeededDropout(dropout),
            nn.Linear(hidden, hidden), nn.ReLU(), SeededDropout(dropout),
        )  # fmt: skip
        self.correction = nn.Linear(hidden, 1)
        nn.init.zeros_(self.correction.weight)
        nn.init.zeros_(self.correction.bias)

    def forward(
        self, history: Tensor, ratings: Tensor, age_days: Tensor, candidate_rows: Tensor, contributions: Tensor,
        weights: Tensor,
    ) -> tuple[Tensor]:  # fmt: skip
        """History (B, T) each, rows (B, C), contributions (B, C, S), fusion weights (B, S) → scores (B, C).

        Rows beyond the catalogue are films added later; row -1 is empty, and its score is -inf.
        """
        features = self.features(history, ratings, age_days, candidate_rows, contributions, weights)
        corrections = self.corrections(features)
        return (torch.where(candidate_rows < 0, NO_FILM, contributions.sum(dim=2) + corrections),)

    def corrections(self, features: Tensor) -> Tensor:
        """(B, C, F) → (B, C) corrections of the blend's scores."""
        return self.correction(self.layers((features - self.middle) / self.spread)).squeeze(2)

    def features(
        self, history: Tensor, ratings: Tensor, age_days: Tensor, rows: Tensor, contributions: Tensor, weights: Tensor
    ) -> Tensor:
        """(B, C, F) features, finite for every history and every candidate."""
        tokens = torch.clamp(rows + 1, 0, self.n_items + 1)
        weighed = (weights != 0).unsqueeze(1)
        scores = contributions / torch.where(weighed, weights.unsqueeze(1), 1.0) * weighed
        ease = scores[:, :, SOURCES.index(NEIGHBOUR_SOURCE) :]
        blend = contributions.sum(dim=2, keepdim=True)
        best = (blend - OUT_OF_REACH * (rows < 0).unsqueeze(2)).amax(dim=1, keepdim=True)
        present = is_present(history)
        seen = self.profiles[history]
        person = side_features(present, steps_back(present), ratings, age_days, seen)
        fit = _fit(person[:, SIDE_SCALARS:], self.profiles[tokens])
        scalars = person[:, :SIDE_SCALARS].unsqueeze(1).expand(-1, rows.shape[1], -1)
        parts = [torch.clamp(scores, -LARGEST_Z, LARGEST_Z), (ease > 0).to(blend.dtype), blend, best - blend]
        return torch.cat([*parts, self.facts[tokens], scalars, fit], dim=2)

    def know_films(self, catalog: Catalog, events: Events) -> None:
        """Fill the tables with the films' facts and statistics from these events."""
        facts = film_facts(catalog, events)
        profiles = np.concatenate([catalog.genre_matrix, era(catalog)], axis=1)
        for table, known in ((self.facts, facts), (self.profiles, profiles)):
            table[1:-1] = torch.from_numpy(known)
            table[-1] = table[1:-1].mean(dim=0)


def _fit(person: Tensor, films: Tensor) -> Tensor:
    """How films (B, C, G) fit three profiles of a person (B, 3 G), by genre and by era → (B, C, 6)."""
    profiles = person.unflatten(1, (3, -1))
    parts = []
    for columns in (slice(0, len(GENRES)), slice(len(GENRES), None)):
        wanted, has = profiles[:, :, columns], films[:, :, columns]
        parts.append(has @ wanted.transpose(1, 2) / torch.sqrt((has * has).sum(dim=2, keepdim=True) + 1e-6))
    return torch.cat(parts, dim=2)


def film_facts(catalog: Catalog, events: Events) -> Float32:
    """(N, 5) statistics of `training.data.item_features`, and the year in twenties from 2000; means where unknown."""
    years = np.array([film.year if film.year is not None else np.nan for film in catalog.films], dtype=np.float64)
    known = ~np.isnan(years)
    years[~known] = years[known].mean() if known.any() else 2000
    return np.concatenate(
        [statistics(events, len(catalog)), ((years - 2000) / 20)[:, None].astype(np.float32)], axis=1
    )  # fmt: skip


def listwise_loss(scores: Tensor, is_target: Tensor) -> Tensor:
    """(B, C) each → (B): the mean over a list's targets of -log softmax, each target against all non-targets.

    Targets do not compete with each other: every order of them is equally good. A list without targets has loss 0.
    """
    others = torch.logsumexp(scores.masked_fill(is_target, -OUT_OF_REACH), dim=1, keepdim=True)
    losses = F.softplus(others - scores).masked_fill(~is_target, 0.0)
    return losses.sum(dim=1) / torch.clamp(is_target.sum(dim=1), min=1)
