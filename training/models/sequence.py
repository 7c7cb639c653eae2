"""A causal transformer over watch history (the SASRec family), trained by cosine sampled softmax.

Source: Kang, McAuley, "Self-Attentive Sequential Recommendation", ICDM 2018; sampled softmax instead of one
binary negative after Klenitskiy, Vasilev, "Turning Dross Into Gold Loss", RecSys 2023.
Positions enter as a learned bias by distance, not as absolute positions: a window cut from the middle of a
history then looks like any other. The attention is written out because nn.TransformerEncoder's causal buffer
does not survive the dynamo exporter.
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
from training.models.serving import HISTORY_INPUTS, is_present, steps_back

MASKED = -1e9
"""Added where attention may not look: finite, so that no row of the softmax can turn into NaN."""


@dataclass(frozen=True, slots=True)
class SequenceConfig:
    """Network and training of the transformer."""

    width: int = 64
    blocks: int = 1
    heads: int = 2
    dropout: float = 0.2
    own_dropout: float = 0.3
    """Share of films whose own embedding is dropped for a batch, so that their features are trained to replace it."""
    hidden_share: float = 0.1
    """Share of a history's films that are masked in a batch, against memorising people."""
    plain_share: float = 0.2
    """Share of histories reduced to bare film ids, as some requests have them."""
    temperature: float = 0.07
    negatives: int = 1024
    """S: uniformly sampled negatives of each batch; all films of a smaller catalogue."""
    horizon: int = 3
    """K: number of next films that are a position's targets: films of one session have no strict order."""
    person_exponent: float = 0.5
    """A person with n events weighs n^-exponent per event: 0 counts events, 1 counts people."""
    learning_rate: float = 4e-3
    weight_decay: float = 1e-4
    windows_per_batch: int = 32
    max_windows: int = 20_000
    """At most this many windows per epoch, however many events there are; each epoch samples others."""
    epochs: int = 10
    patience: int = 4
    stop_after: int | None = None
    """Epochs after which a refit ends; the schedule is still that of `epochs`."""


class ItemTable(nn.Module):
    """A film's vector: its own embedding plus a projection of its features. Token 0 is a vector of zeros."""

    features: Tensor

    def __init__(self, features: Tensor, width: int, own_dropout: float) -> None:
        super().__init__()
        self.register_buffer("features", features)
        self.own_dropout = SeededDropout(own_dropout)
        self.own = nn.Parameter(torch.randn(len(features), width) * 0.02)
        self.project = nn.Linear(features.shape[1], width)
        nn.init.normal_(self.project.weight, std=0.02)

    def forward(self) -> Tensor:
        """(N + 1, D)"""
        present = self.own_dropout(torch.ones_like(self.own[:, :1]))
        vectors = self.own * present + self.project(self.features)
        return torch.cat([torch.zeros_like(vectors[:1]), vectors])


class CausalBlock(nn.Module):
    """Pre-norm attention with a learned bias per head and distance, then a feed-forward net."""

    apart: Tensor
    ahead: Tensor

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.norm_attention, self.norm_feed = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.expand, self.contract = nn.Linear(width, 2 * width), nn.Linear(2 * width, width)
        self.distance_bias = nn.Parameter(torch.zeros(heads, HISTORY_LENGTH))
        self.dropout = SeededDropout(dropout)
        steps = torch.arange(HISTORY_LENGTH)
        apart = steps[:, None] - steps[None, :]
        self.register_buffer("apart", apart.clamp(min=0), persistent=False)
        self.register_buffer("ahead", torch.where(apart < 0, MASKED, 0.0), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, D) → (B, T, D); position t attends to positions up to t."""
        b, t, d = x.shape[0], HISTORY_LENGTH, x.shape[2]
        q, k, v = self.qkv(self.norm_attention(x)).reshape(b, t, 3, self.heads, d // self.heads).permute(2, 0, 3, 1, 4)
        scores = q @ k.transpose(-1, -2) * (d // self.heads) ** -0.5
        scores = scores + self.distance_bias[:, self.apart] + self.ahead
        mixed = (torch.softmax(scores, dim=-1) @ v).transpose(1, 2).reshape(b, t, d)
        x = x + self.dropout(self.out(mixed))
        return x + self.dropout(self.contract(F.gelu(self.expand(self.norm_feed(x)))))

    def at_newest(self, x: Tensor, present: Tensor) -> Tensor:
        """(B, T, D), (B, T) → (B, D): what `forward`, without dropout, gives for each history's newest film.

        One place asks, so the keys' projection is applied to its query and the values' to the weighted mean: no
        position is projected but the newest. Meaningless for an empty history.
        """
        d = x.shape[2]
        normed = self.norm_attention(x)
        newest = place_of_newest(present).unsqueeze(1)
        to_keys, to_keys_bias = self._query_to_keys()
        query = ((newest @ normed).squeeze(1) @ to_keys + to_keys_bias).reshape(-1, self.heads, d)
        bias = self.distance_bias.T[torch.clamp(steps_back(present), min=0).to(torch.int64)].transpose(1, 2)
        scores = query @ normed.transpose(1, 2) + bias + ((1 - present) * MASKED).unsqueeze(1)
        mixed = (torch.softmax(scores, dim=-1) @ normed).reshape(-1, self.heads * d)
        from_values, from_values_bias = self._values_to_output()
        state = (newest @ x).squeeze(1) + mixed @ from_values + from_values_bias
        return state + self.contract(F.gelu(self.expand(self.norm_feed(state))))

    def _query_to_keys(self) -> tuple[Tensor, Tensor]:
        """(D, H D) and (H D): a query, multiplied by the keys' projection and scaled.

        The keys' bias adds the same to the score of every place, which a softmax does not see.
        """
        query, key, _ = self._by_head(self.qkv.weight)
        query_bias, _, _ = self._by_head(self.qkv.bias.unsqueeze(1))
        scale = query.shape[1] ** -0.5
        to_keys = (query.transpose(1, 2) @ key).permute(1, 0, 2).flatten(1)
        return to_keys * scale, (query_bias.transpose(1, 2) @ key).flatten() * scale

    def _values_to_output(self) -> tuple[Tensor, Tensor]:
        """(H D, D) and (D): a mean of normed places per head, projected to values and then to the output."""
        d = self.out.weight.shape[0]
        _, _, value = self._by_head(self.qkv.weight)
        value_bias = self.qkv.bias[2 * d :]
        out = self.out.weight.reshape(d, self.heads, d // self.heads).permute(1, 2, 0)
        return (value.transpose(1, 2) @ out).flatten(0, 1), self.out.bias + value_bias @ self.out.weight.T

    def _by_head(self, weight: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(3 D, any) → query's, key's and value's (H, D / H, any)."""
        query, key, value = weight.reshape(3, self.heads, -1, weight.shape[1])
        return query, key, value


class HistoryTransformer(nn.Module):
    """Film vectors → the state after each position of a history."""

    def __init__(self, width: int, blocks: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.context = nn.Linear(3, width)
        self.blocks = nn.ModuleList(CausalBlock(width, heads, dropout) for _ in range(blocks))
        self.norm = nn.LayerNorm(width)
        self.taste = nn.Linear(width, width, bias=False)
        self.last = nn.Linear(width, width, bias=False)
        self.dropout = SeededDropout(dropout)

    def forward(self, films: Tensor, present: Tensor, ratings: Tensor, age_days: Tensor) -> Tensor:
        """(B, T, D), (B, T) … → (B, T, D) unit vectors."""
        x = self.dropout(self._described(films, ratings, age_days)) * present.unsqueeze(-1)
        for block in self.blocks:
            x = block(x)
        seen = torch.clamp(torch.cumsum(present, dim=1), min=1).unsqueeze(-1)
        running_mean = torch.cumsum(films * present.unsqueeze(-1), dim=1) / seen
        return unit(self.norm(x) + self.taste(unit(running_mean)) + self.last(unit(films)))

    def at_newest(self, films: Tensor, present: Tensor, ratings: Tensor, age_days: Tensor) -> Tensor:
        """(B, T, D), (B, T) … → (B, D): what `forward`, without dropout, gives for the newest film; else zeros."""
        x = self._described(films, ratings, age_days) * present.unsqueeze(-1)
        *earlier, last_block = self.blocks
        for block in earlier:
            x = block(x)
        assert isinstance(last_block, CausalBlock)
        count = present.sum(dim=1, keepdim=True)
        mean = (present.unsqueeze(1) @ films).squeeze(1) / torch.clamp(count, min=1)
        last = (place_of_newest(present).unsqueeze(1) @ films).squeeze(1)
        state = self.norm(last_block.at_newest(x, present)) + self.taste(unit(mean)) + self.last(unit(last))
        return unit(state) * torch.clamp(count, max=1)

    def _described(self, films: Tensor, ratings: Tensor, age_days: Tensor) -> Tensor:
        """(B, T, D): each film with how it was rated and how long after the one before."""
        rated = (ratings > 0).to(torch.float32)
        gap_days = torch.clamp(F.pad(age_days[:, :-1] - age_days[:, 1:], (1, 0)), min=0)
        about = torch.stack([(ratings - LIKED_FROM) * rated, rated, torch.log1p(gap_days)], dim=-1)
        return films * films.shape[-1] ** 0.5 + self.context(about)


class SequenceEncoder(nn.Module):
    """The served transformer: one unit vector per history, zeros for an empty one."""

    input_names = HISTORY_INPUTS
    output_names = ("user_embedding",)
    films: Tensor

    def __init__(self, n_items: int, width: int, blocks: int, heads: int) -> None:
        super().__init__()
        self.config: dict[str, Any] = {"n_items": n_items, "width": width, "blocks": blocks, "heads": heads}
        self.register_buffer("films", torch.zeros(n_items + 1, width))
        self.transformer = HistoryTransformer(width, blocks, heads, dropout=0.0)

    def forward(self, history: Tensor, ratings: Tensor, age_days: Tensor) -> tuple[Tensor]:
        """(B, T) each → user_embedding (B, D)."""
        present = is_present(history)
        return (self.transformer.at_newest(self.films[history], present, ratings, age_days),)


class SequenceNet(nn.Module):
    """The trained network: the item table and the transformer."""

    def __init__(self, features: Tensor, config: SequenceConfig) -> None:
        super().__init__()
        self.items = ItemTable(features, config.width, config.own_dropout)
        self.transformer = HistoryTransformer(config.width, config.blocks, config.heads, config.dropout)
        self.arguments = {"width": config.width, "blocks": config.blocks, "heads": config.heads}

    def states(self, table: Tensor, history: Tensor, ratings: Tensor, age_days: Tensor) -> Tensor:
        """(B, T) each → (B, T, D)."""
        return self.transformer(F.embedding(history, table), is_present(history), ratings, age_days)

    def serving(self) -> SequenceEncoder:
        """The module to serve, with the features folded into its table."""
        encoder = SequenceEncoder(len(self.items.own), **self.arguments)
        encoder.films.copy_(self.items.eval()().detach())
        encoder.transformer.load_state_dict(self.transformer.state_dict())
        return encoder.eval()

    def item_vectors(self) -> Tensor:
        """(N, D) unit vectors to score by dot product."""
        return unit(self.items.eval()()[1:]).detach()


def place_of_newest(present: Tensor) -> Tensor:
    """(B, T) 1 at the newest film alone: histories are padded on the right."""
    return present - F.pad(present[:, 1:], (0, 1))


def unit(x: Tensor) -> Tensor:
    """Vectors of length 1 along the last axis; zeros stay zeros."""
    return x / torch.clamp(torch.sqrt((x * x).sum(dim=-1, keepdim=True)), min=1e-6)


def sampled_softmax(states: Tensor, positives: Tensor, negatives: Tensor, table: Tensor, temperature: float) -> Tensor:
    """Loss per example: -log softmax of each positive among itself and shared negatives, by cosine / temperature.

    states: (M, D) unit. positives: (M, K) tokens, 0 where there is none; each row's loss is the mean over its own.
    negatives: (S) distinct tokens drawn evenly; those that are a row's positive are masked. table: (N + 1, D).
    """
    scaled = states / temperature
    positive = (unit(F.embedding(positives, table)) @ scaled.unsqueeze(2)).squeeze(2)
    negative = without_positives(scaled @ unit(table[negatives]).T, positives, columns_of(negatives, len(table)))
    return positives_against(positive, positives > 0, torch.logsumexp(negative, dim=1))


def columns_of(tokens: Tensor, n_tokens: int) -> Tensor:
    """(n_tokens) the place of each token among distinct `tokens`, -1 where it is not among them."""
    places = torch.full((n_tokens,), -1, dtype=torch.int64, device=tokens.device)
    places[tokens] = torch.arange(len(tokens), device=tokens.device)
    return places


def without_positives(logits: Tensor, positives: Tensor, column_of: Tensor) -> Tensor:
    """(M, S) logits with every row's own positives (M, K) masked."""
    column = torch.where(positives > 0, column_of[positives], -1)
    row, place = torch.nonzero(column >= 0, as_tuple=True)
    return logits.index_put((row, column[row, place]), torch.full((len(row),), MASKED, device=logits.device))


def positives_against(positive: Tensor, available: Tensor, negative: Tensor) -> Tensor:
    """(M) mean over a row's positives of -log(e^positive / (e^positive + e^negative)).

    positive: (M, K) logits. available: (M, K) bool, at least one True a row. negative: (M) logsumexp of the negatives.
    """
    loss = F.softplus(negative.unsqueeze(1) - positive) * available
    return loss.sum(dim=1) / available.sum(dim=1)
