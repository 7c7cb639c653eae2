"""Training examples from ordered events: the history of a person just before each event.

The tensors are those of `features.history`, cut from the event columns without a loop over people.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from features.history import HISTORY_LENGTH, SECONDS_PER_DAY
from training.data.dataset import Events
from training.data.splits import positions_from_end
from training.fit.sampler import EventSampler

Histories = tuple[Tensor, Tensor, Tensor]
"""history, ratings and age_days, each (B, T)."""


@dataclass(frozen=True, slots=True)
class HistoryMasking:
    """Random masking of histories during training, against memorising people."""

    hidden_share: float
    """Probability that a film other than the newest is masked as padding."""
    plain_share: float
    """Probability that a history loses its ratings and times, like a request of bare film ids."""

    def __call__(self, histories: Histories, generator: torch.Generator) -> Histories:
        """The masked histories; masked films leave gaps, so that positions keep their meaning."""
        history, ratings, age_days = histories
        place = torch.arange(history.shape[1], device=history.device)
        newest = (history > 0).sum(dim=1, keepdim=True) - 1
        drawn = torch.rand(history.shape, generator=generator).to(history.device)
        shown = (history > 0) & ((drawn >= self.hidden_share) | (place == newest))
        plain = torch.rand((len(history), 1), generator=generator).to(history.device) < self.plain_share
        rated = shown & ~plain
        return history * shown, ratings * rated, age_days * rated


@dataclass(frozen=True, slots=True)
class EventWindows:
    """Events in time order per person, as tensors on the training device."""

    tokens: Tensor
    """(E) item_row + 1."""
    ratings: Tensor
    """(E)"""
    days: Tensor
    """(E) float64 days since the first event."""
    position: Tensor
    """(E) how many earlier events the person has."""
    remaining: Tensor
    """(E) how many later events the person has."""
    person: Tensor
    """(E) 0..P-1."""
    counts: Tensor
    """(P) events of each person."""

    @classmethod
    def of(cls, events: Events, device: torch.device) -> EventWindows:
        """From events grouped by person and in time order."""
        _, person, counts = np.unique(events.user_rows, return_inverse=True, return_counts=True)
        remaining = positions_from_end(events.user_rows)
        first_s = events.timestamps_s.min() if len(events) else 0

        def put(values: np.ndarray, dtype: torch.dtype) -> Tensor:
            return torch.from_numpy(np.ascontiguousarray(values)).to(device=device, dtype=dtype)

        return cls(
            tokens=put(events.item_rows + 1, torch.int64),
            ratings=put(events.ratings, torch.float32),
            days=put((events.timestamps_s - first_s) / SECONDS_PER_DAY, torch.float64),
            position=put(counts[person] - 1 - remaining, torch.int64),
            remaining=put(remaining, torch.int64),
            person=put(person, torch.int64),
            counts=put(counts, torch.int64),
        )

    def before(self, ends: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """The last T events before each event of `ends` (B).

        Returns history, ratings, age_days, and the positions of the events in the columns, each (B, T);
        positions in the padding point at the window's last event.
        """
        length = torch.clamp(self.position[ends], max=HISTORY_LENGTH).unsqueeze(1)
        offset = torch.arange(HISTORY_LENGTH, device=ends.device).unsqueeze(0)
        inside = offset < length
        at = torch.clamp(torch.minimum(ends.unsqueeze(1) - length + offset, ends.unsqueeze(1) - 1), min=0)
        newest = self.days[torch.clamp(ends - 1, min=0)].unsqueeze(1)
        age_days = (newest - self.days[at]).to(torch.float32)
        return (
            torch.where(inside, self.tokens[at], 0),
            torch.where(inside, self.ratings[at], 0.0),
            torch.where(inside, age_days, 0.0),
            at,
        )

    def after(self, at: Tensor, n: int) -> Tensor:
        """(M) events → (M, n) tokens of the person's next n events, 0 where there are no more."""
        step = torch.arange(1, n + 1, device=at.device).unsqueeze(0)
        inside = step <= self.remaining[at].unsqueeze(1)
        return torch.where(inside, self.tokens[torch.clamp(at.unsqueeze(1) + step, max=len(self.tokens) - 1)], 0)

    def window_ends(self, generator: torch.Generator) -> Tensor:
        """Ends of windows that together cover every person's events, cut at a random offset per person."""
        offset = torch.randint(HISTORY_LENGTH, (len(self.counts),), generator=generator).to(self.person.device)
        at_cut = (self.position - offset[self.person]) % HISTORY_LENGTH == 0
        chosen = (self.position > 0) & (at_cut | (self.remaining == 0))
        return torch.nonzero(chosen).flatten()

    def person_of(self, at: Tensor) -> Tensor:
        """The person, 0..P-1, of events."""
        return self.person[at]

    def sampler(self, person_exponent: float) -> EventSampler:
        """A sampler of the events."""
        return EventSampler.of(self.counts, person_exponent)

    def film_shares(self, sampler: EventSampler, n_items: int) -> Tensor:
        """(N) probability that one sample is of a film."""
        share = torch.zeros(n_items, dtype=torch.float64, device=self.tokens.device)
        usable = self.position > 0
        return share.index_add_(0, self.tokens[usable] - 1, sampler.share(self.person[usable]))

    def batches(self, ends: Tensor, size: int, horizon: int) -> Iterator[Tensor]:
        """The examples in batches, for `before` and for `after` up to `horizon`."""
        yield from ends.split(size)
