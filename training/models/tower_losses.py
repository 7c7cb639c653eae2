"""Losses of the two towers: the in-batch softmax of releases, and two others for comparison."""

from __future__ import annotations

from enum import StrEnum

import torch
import torch.nn.functional as F
from torch import Tensor

from training.models.sequence import columns_of, positives_against, without_positives

STRIDE = 7919
"""A prime larger than any batch's number of columns is likely to share a factor with."""


class TowerLoss(StrEnum):
    """The losses by name."""

    SOFTMAX = "softmax"
    BPR = "bpr"
    MSE = "mse"
    COMBINED = "combined"
    """The mean of the three."""


def tower_loss(
    kind: TowerLoss, users: Tensor, positives: Tensor, columns: Tensor, items: Tensor, log_q: Tensor, temperature: float
) -> Tensor:
    """Loss per person (B); the arguments are those of `in_batch_softmax`."""
    match kind:
        case TowerLoss.SOFTMAX:
            return in_batch_softmax(users, positives, columns, items, log_q, temperature)
        case TowerLoss.BPR:
            return bpr(users, positives, columns, items, temperature)
        case TowerLoss.MSE:
            return squared_error(users, positives, columns, items)
        case TowerLoss.COMBINED:
            softmax = in_batch_softmax(users, positives, columns, items, log_q, temperature)
            pairwise = bpr(users, positives, columns, items, temperature)
            return (softmax + pairwise + squared_error(users, positives, columns, items)) / 3


def in_batch_softmax(
    users: Tensor, positives: Tensor, columns: Tensor, items: Tensor, log_q: Tensor, temperature: float
) -> Tensor:
    """Loss per person: softmax of each positive against all films of the batch, with correction for sampling.

    users: (B, D) unit. positives: (B, K) tokens, 0 where there is none; each row's loss is the mean over its own.
    columns: (C) distinct tokens, ascending: everyone's positives and extra negatives. items: (C, D) their unit vectors.
    log_q: (C) log of each film's chance to be among the columns. A row's own positives are none of its negatives.
    """
    logits = (users / temperature) @ items.T - log_q
    column_of = columns_of(columns, int(columns[-1]) + 1)
    positive = torch.gather(logits, 1, torch.clamp(column_of[positives], min=0))
    negative = without_positives(logits, positives, column_of)
    return positives_against(positive, positives > 0, torch.logsumexp(negative, dim=1))


def bpr(users: Tensor, positives: Tensor, columns: Tensor, items: Tensor, temperature: float) -> Tensor:
    """Loss per person: -log sigmoid of each positive's lead over one other film of the batch, by cosine / temperature.

    The other film of person b is column b * 7919 mod C: every column is used about as often, without random numbers.
    Source: Rendle et al., "BPR: Bayesian Personalized Ranking from Implicit Feedback", UAI 2009.
    """
    own, other, available = _pairs(users, positives, columns, items)
    lead = (own - other.unsqueeze(1)) / temperature
    return _mean_over(F.softplus(-lead), available)


def squared_error(users: Tensor, positives: Tensor, columns: Tensor, items: Tensor) -> Tensor:
    """Loss per person: squared distance of the cosine to 1 for positives and to 0 for one other film of the batch."""
    own, other, available = _pairs(users, positives, columns, items)
    return _mean_over((own - 1) ** 2, available) + other**2


def _pairs(users: Tensor, positives: Tensor, columns: Tensor, items: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """(B, K) cosines of the positives, (B) of another film, (B, K) which positives exist and are not that film."""
    column = torch.clamp(columns_of(columns, int(columns[-1]) + 1)[positives], min=0)
    cosines = users @ items.T
    place = torch.arange(len(users), device=users.device) * STRIDE % len(columns)
    available = (positives > 0) & (columns[place].unsqueeze(1) != positives)
    return cosines.gather(1, column), cosines.gather(1, place.unsqueeze(1)).squeeze(1), available


def _mean_over(values: Tensor, available: Tensor) -> Tensor:
    """(B, K) → (B) mean of the available positions; 0 where there is none."""
    return (values * available).sum(dim=1) / torch.clamp(available.sum(dim=1), min=1)
