"""A two-tower retrieval model: a user tower over history and side features, an item tower over films and theirs.

Source: Yi et al., "Sampling-Bias-Corrected Neural Modeling for Large Corpus Item Recommendations", RecSys 2019.
There is no table of users: everything about a person is computed inside the graph from the three history
tensors, so that unseen people are served like anyone else.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from features.history import HISTORY_LENGTH
from features.thresholds import LIKED_FROM
from training.models.seeded_dropout import SeededDropout
from training.models.sequence import MASKED, ItemTable, unit
from training.models.serving import HISTORY_INPUTS, is_present, rating_weights, steps_back
from training.models.tower_losses import TowerLoss

SIDE_SCALARS = 9
"""Numbers of `side_features` before the genre and era profiles."""

RECENT_FILMS = 5.0

DISLIKED = 0.2
"""Weight of the lowest rating in the means of a history, against 1 for a film liked or not rated."""


@dataclass(frozen=True, slots=True)
class TwoTowerConfig:
    """Network and training of the two towers."""

    width: int = 64
    hidden: int = 128
    dropout: float = 0.2
    own_dropout: float = 0.3
    """Share of films whose own embedding is dropped for a batch, so that their features are trained to replace it."""
    hidden_share: float = 0.3
    """Share of a history's films that are masked in a batch, against memorising people."""
    plain_share: float = 0.2
    """Share of histories reduced to bare film ids, as some requests have them."""
    loss: TowerLoss = TowerLoss.SOFTMAX
    temperature: float = 0.1
    extra_negatives: int = 512
    """S: negatives sampled uniformly from the catalogue, besides those of the batch."""
    horizon: int = 3
    """K: this many next films are a person's positives."""
    person_exponent: float = 0.5
    """A person with n events is sampled in proportion to n^(1 - exponent)."""
    learning_rate: float = 2e-3
    weight_decay: float = 1e-4
    batch_size: int = 512
    examples_ratio: float = 0.3
    """Examples sampled per epoch, as a share of all events."""
    max_examples: int = 500_000
    """At most this many per epoch, however many events there are."""
    epochs: int = 8
    patience: int = 4
    stop_after: int | None = None
    """Epochs after which a refit ends; the schedule is still that of `epochs`."""


class UserTower(nn.Module):
    """A person's vector from their history; also what is served. Zeros for an empty history."""

    input_names = HISTORY_INPUTS
    output_names = ("user_embedding",)
    films: Tensor
    profiles: Tensor

    def __init__(self, n_items: int, width: int, hidden: int, profile_width: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.config: dict[str, Any] = {
            "n_items": n_items, "width": width, "hidden": hidden, "profile_width": profile_width,
        }  # fmt: skip
        self.register_buffer("films", torch.zeros(n_items + 1, width))
        self.register_buffer("profiles", torch.zeros(n_items + 1, profile_width))
        self.attention_query = nn.Linear(width, width)
        self.attention_about = nn.Sequential(nn.Linear(3, 16), nn.GELU(), nn.Linear(16, 1))
        # Half lives of the three means: the last film, the last few, and the whole window.
        self.log_half_life = nn.Parameter(torch.log(torch.tensor([1.0, 5.0, 40.0])))
        self.mix = nn.Linear(4 * width, width, bias=False)
        self.deep = nn.Sequential(
            nn.Linear(4 * width + SIDE_SCALARS + 3 * profile_width, hidden), nn.GELU(), SeededDropout(dropout),
            nn.Linear(hidden, width),
        )  # fmt: skip
        self.dropout = SeededDropout(dropout)

    def forward(self, history: Tensor, ratings: Tensor, age_days: Tensor) -> tuple[Tensor]:
        """(B, T) each → user_embedding (B, D), of length 1."""
        return (self.embed(self.films, history, ratings, age_days),)

    def embed(self, films: Tensor, history: Tensor, ratings: Tensor, age_days: Tensor) -> Tensor:
        """As `forward`, over a given table (N + 1, D) of film vectors."""
        present = is_present(history)
        back = steps_back(present)
        vectors = F.embedding(history, unit(films))
        fading = torch.exp2(-back.unsqueeze(1) / torch.exp(self.log_half_life).reshape(1, -1, 1))
        means = fading * (present * rating_weights(ratings, DISLIKED)).unsqueeze(1) @ vectors
        query = self.attention_query(unit(means[:, 1])).unsqueeze(2)
        stars = (ratings - LIKED_FROM) * (ratings > 0)
        about = torch.stack([stars, torch.log1p(torch.clamp(back, min=0)), torch.log1p(age_days)], dim=-1)
        score = (vectors @ query + self.attention_about(about)).squeeze(2)
        attended = torch.softmax(torch.where(present > 0, score, MASKED), dim=1) * present
        pooled = self.dropout(unit(torch.cat([means, attended.unsqueeze(1) @ vectors], dim=1)).flatten(1))
        side = side_features(present, back, ratings, age_days, self.profiles[history])
        known = (present.sum(dim=1, keepdim=True) > 0).to(torch.float32)
        return unit(self.mix(pooled) + self.deep(torch.cat([pooled, side], dim=1))) * known


def side_features(present: Tensor, back: Tensor, ratings: Tensor, age_days: Tensor, profiles: Tensor) -> Tensor:
    """Side features of a history, besides its films.

    present, back, ratings, age_days: (B, T). profiles: (B, T, G) genre and era of each film.
    Returns (B, 9 + 3 G): mean rating, deviation, range, share rated, count, span, velocity, recency, share liked;
    the recent profile; the long-run profile of films liked; their maximum over the history. All
    finite for an empty history.
    """
    count = present.sum(dim=1)
    rated = present * (ratings > 0)
    n_rated = torch.clamp(rated.sum(dim=1), min=1)
    mean = (ratings * rated).sum(dim=1) / n_rated
    centred = (ratings - mean.unsqueeze(1)) * rated
    deviation = torch.sqrt((centred * centred).sum(dim=1) / n_rated + 1e-6)
    spread = centred.amax(dim=1) - centred.amin(dim=1)
    liked = present * ((ratings >= LIKED_FROM) | (ratings <= 0))
    span = torch.log1p((age_days * present).amax(dim=1))
    recent = present * torch.exp2(-back / RECENT_FILMS)
    scalars = [
        mean - LIKED_FROM, deviation, spread / 4, n_rated / HISTORY_LENGTH, torch.log1p(count) / 4, span / 8,
        torch.log1p(count) - span, torch.log1p(mean_over(age_days, recent)) / 8, mean_over(liked, present),
    ]  # fmt: skip
    weights = torch.stack([recent, liked], dim=1)
    means = weights @ profiles / torch.clamp(weights.sum(dim=2, keepdim=True), min=1e-6)
    any_film = (profiles * present.unsqueeze(2)).amax(dim=1)
    return torch.cat([torch.stack(scalars, dim=1), means.flatten(1), any_film], dim=1)


def mean_over(values: Tensor, weights: Tensor) -> Tensor:
    """(B, T), (B, T) → (B) weighted mean; 0 where all weights are 0."""
    return (values * weights).sum(dim=1) / torch.clamp(weights.sum(dim=1), min=1e-6)


class ItemTower(nn.Module):
    """A film's vector to be scored against, from its own embedding and its features."""

    features: Tensor

    def __init__(self, features: Tensor, width: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.register_buffer("features", features)
        self.deep = nn.Sequential(
            nn.Linear(features.shape[1], hidden), nn.GELU(), SeededDropout(dropout), nn.Linear(hidden, width)
        )

    def forward(self, films: Tensor, tokens: Tensor) -> Tensor:
        """(N + 1, D) shared film vectors, (M) tokens → (M, D) unit vectors."""
        return unit(films[tokens] + self.deep(self.features[tokens - 1]))


class TwoTowerNet(nn.Module):
    """The trained network: the shared film table and both towers."""

    def __init__(self, static: Tensor, everything: Tensor, profiles: Tensor, config: TwoTowerConfig) -> None:
        super().__init__()
        n_items = len(static)
        self.items = ItemTable(static, config.width, config.own_dropout)
        self.item_tower = ItemTower(everything, config.width, config.hidden, config.dropout)
        self.user_tower = UserTower(n_items, config.width, config.hidden, profiles.shape[1], config.dropout)
        self.user_tower.profiles[1:] = profiles

    def serving(self) -> UserTower:
        """The user tower with the film table folded in."""
        tower = UserTower(**self.user_tower.config)
        tower.load_state_dict(self.user_tower.state_dict())
        tower.films.copy_(self.items.eval()().detach())
        return tower.eval()

    def item_vectors(self) -> Tensor:
        """(N, D) unit vectors to score by dot product."""
        self.eval()
        tokens = torch.arange(1, len(self.items.own) + 1, device=self.items.own.device)
        return self.item_tower(self.items(), tokens).detach()
