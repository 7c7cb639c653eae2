"""Which events the two towers learn from in an epoch: drawn with replacement, heavy watchers held back.

Everything is kept by person, not by event: 25 million events would take half a gigabyte for the odds alone.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Draws:
    """Odds of all events that have a history; those of one person are equal."""

    starts: Tensor
    """(P) position of each person's first event."""
    counts: Tensor
    """(P) events of each person."""
    chance: Tensor
    """(P) float64 odds of each of a person's events."""
    ladder: Tensor
    """(P) float64 sum of the odds of everyone up to this person."""

    @classmethod
    def of(cls, counts: Tensor, person_exponent: float) -> Draws:
        """A person with n events has odds of n^-exponent per event; a first event, without a history, none."""
        chance = counts.to(torch.float64) ** -person_exponent
        ladder = torch.cumsum(chance * (counts - 1), dim=0)
        return cls(torch.cumsum(counts, dim=0) - counts, counts, chance, ladder)

    @property
    def usable(self) -> int:
        """How many events can be drawn."""
        return int((self.counts - 1).sum())

    def draw(self, n: int, generator: torch.Generator) -> Tensor:
        """(n) positions of events. Not torch.multinomial, which ends at 2^24 choices."""
        height = torch.rand(n, generator=generator, dtype=torch.float64).to(self.ladder.device) * self.ladder[-1]
        person = torch.clamp(torch.searchsorted(self.ladder, height, right=True), max=len(self.counts) - 1)
        below = self.ladder[person] - self.chance[person] * (self.counts[person] - 1)
        place = ((height - below) / self.chance[person]).to(torch.int64)
        last = torch.clamp(self.counts[person] - 2, min=0)
        return self.starts[person] + 1 + torch.minimum(torch.clamp(place, min=0), last)

    def share(self, person: Tensor) -> Tensor:
        """Chance, 0 to 1, that one draw is a given event of this person."""
        return self.chance[person] / self.ladder[-1]
