"""The events of an epoch of the two towers: sampled with replacement, people with many events weighted down.

Weights are stored by person, not by event: for 25 million events they alone would take half a gigabyte.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class EventSampler:
    """Sampling weights of all events that have a history; those of one person are equal."""

    starts: Tensor
    """(P) position of each person's first event."""
    counts: Tensor
    """(P) events of each person."""
    chance: Tensor
    """(P) float64 weight of each of a person's events."""
    cumulative: Tensor
    """(P) float64 cumulative weight of the people up to this one."""

    @classmethod
    def of(cls, counts: Tensor, person_exponent: float) -> EventSampler:
        """A person with n events has weight n^-exponent per event; a first event, without a history, has 0."""
        chance = counts.to(torch.float64) ** -person_exponent
        cumulative = torch.cumsum(chance * (counts - 1), dim=0)
        return cls(torch.cumsum(counts, dim=0) - counts, counts, chance, cumulative)

    @property
    def usable(self) -> int:
        """Number of events that can be sampled."""
        return int((self.counts - 1).sum())

    def draw(self, n: int, generator: torch.Generator) -> Tensor:
        """(n) positions of events. Not torch.multinomial, which ends at 2^24 choices."""
        height = (
            torch.rand(n, generator=generator, dtype=torch.float64).to(self.cumulative.device) * self.cumulative[-1]
        )
        person = torch.clamp(torch.searchsorted(self.cumulative, height, right=True), max=len(self.counts) - 1)
        below = self.cumulative[person] - self.chance[person] * (self.counts[person] - 1)
        place = ((height - below) / self.chance[person]).to(torch.int64)
        last = torch.clamp(self.counts[person] - 2, min=0)
        return self.starts[person] + 1 + torch.minimum(torch.clamp(place, min=0), last)

    def share(self, person: Tensor) -> Tensor:
        """Probability that one sample is a given event of this person."""
        return self.chance[person] / self.cumulative[-1]
