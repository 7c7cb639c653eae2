"""Training examples from Parquet: those that `training.fit.windows` cuts from memory, a part of an epoch at a time.

Memory holds data per person, and only the events around the examples of the current part.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq
import torch
from torch import Tensor

from features.history import HISTORY_LENGTH, SECONDS_PER_DAY
from training.data.event_table import read_group
from training.fit.sampler import EventSampler

WINDOWS_AT_ONCE = 65_536
"""Examples of one pass over the file: at most 53 events each, 28 bytes an event, 100 MB."""

Int64 = npt.NDArray[np.int64]


class StreamedWindows:
    """As `EventWindows`, over an event table; `before` and `after` read the batch that was yielded last."""

    def __init__(self, path: Path, device: torch.device, windows_at_once: int = WINDOWS_AT_ONCE) -> None:
        self._file, self._device, self._at_once = pq.ParquetFile(path), device, windows_at_once
        counts, self._first_s = self._scan()
        self.counts = torch.from_numpy(counts).to(device)
        self._starts = torch.cumsum(self.counts, dim=0) - self.counts
        self._positions = self._tokens = torch.zeros(0, dtype=torch.int64, device=device)
        self._ratings, self._days = self._tokens.to(torch.float32), self._tokens.to(torch.float64)

    def _scan(self) -> tuple[Int64, int]:
        """(P) events of each person, and the first timestamp of all."""
        counts: list[Int64] = [np.zeros(0, dtype=np.int64)]
        first_s: list[int] = []
        for group in range(self._file.num_row_groups):
            events = read_group(self._file, group)
            counts.append(np.unique(events.user_rows, return_counts=True)[1])
            first_s.append(int(events.timestamps_s.min()))
        return np.concatenate(counts), min(first_s, default=0)

    @property
    def n_loaded(self) -> int:
        """Number of events in memory."""
        return len(self._positions)

    def person_of(self, at: Tensor) -> Tensor:
        """The person, 0..P-1, of events."""
        return torch.searchsorted(self._starts, at, right=True) - 1

    def window_ends(self, generator: torch.Generator) -> Tensor:
        """Ends of windows that together cover every person's events, cut at a random offset per person."""
        offset = torch.randint(HISTORY_LENGTH, (len(self.counts),), generator=generator).to(self._device)
        last = self.counts - 1
        cuts = torch.clamp((last - offset) // HISTORY_LENGTH + 1, min=0)
        person = torch.repeat_interleave(torch.arange(len(cuts), device=self._device), cuts)
        step = torch.arange(len(person), device=self._device) - (torch.cumsum(cuts, dim=0) - cuts)[person]
        position = offset[person] + step * HISTORY_LENGTH
        at_cut = (self._starts[person] + position)[position > 0]
        at_end = (self._starts + last)[(last > 0) & ((last < offset) | ((last - offset) % HISTORY_LENGTH != 0))]
        return torch.sort(torch.cat([at_cut, at_end])).values

    def sampler(self, person_exponent: float) -> EventSampler:
        """A sampler of the events."""
        return EventSampler.of(self.counts, person_exponent)

    def film_shares(self, sampler: EventSampler, n_items: int) -> Tensor:
        """(N) probability that one sample is of a film."""
        share = torch.zeros(n_items, dtype=torch.float64, device=self._device)
        start = 0
        for group in range(self._file.num_row_groups):
            films = torch.from_numpy(read_group(self._file, group).item_rows.astype(np.int64)).to(self._device)
            at = torch.arange(start, start + len(films), device=self._device)
            person = self.person_of(at)
            usable = at > self._starts[person]
            share.index_add_(0, films[usable], sampler.share(person[usable]))
            start += len(films)
        return share

    def batches(self, ends: Tensor, size: int, horizon: int) -> Iterator[Tensor]:
        """The examples in batches; `before` and `after` up to `horizon` can read the current one."""
        for piece in ends.split(max(size, self._at_once // size * size)):
            self._load(piece, horizon)
            yield from piece.split(size)

    def _load(self, ends: Tensor, horizon: int) -> None:
        """Read up to T events before each end, and `horizon` events from it on."""
        person = self.person_of(ends)
        first = torch.maximum(ends - HISTORY_LENGTH, self._starts[person])
        stop = torch.minimum(ends + horizon, self._starts[person] + self.counts[person])
        begins, stops = first.cpu().numpy(), stop.cpu().numpy()
        parts: list[tuple[npt.NDArray[np.generic], ...]] = []
        start = 0
        for group in range(self._file.num_row_groups):
            rows = self._file.metadata.row_group(group).num_rows
            inside = (begins >= start) & (begins < start + rows)
            if inside.any():
                wanted = covered(begins[inside] - start, stops[inside] - start, rows)
                events = read_group(self._file, group)
                days = (events.timestamps_s[wanted] - self._first_s) / SECONDS_PER_DAY
                parts.append((wanted + start, events.item_rows[wanted] + 1, events.ratings[wanted], days))
            start += rows
        columns = [np.concatenate(column) for column in zip(*parts, strict=True)]
        types = (torch.int64, torch.int64, torch.float32, torch.float64)
        self._positions, self._tokens, self._ratings, self._days = (
            torch.from_numpy(column).to(device=self._device, dtype=dtype)
            for column, dtype in zip(columns, types, strict=True)
        )

    def _place(self, at: Tensor) -> Tensor:
        """Positions of events among those loaded; arbitrary for others, which callers mask."""
        return torch.clamp(torch.searchsorted(self._positions, at), max=len(self._positions) - 1)

    def before(self, ends: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """As `EventWindows.before`."""
        length = torch.clamp(ends - self._starts[self.person_of(ends)], max=HISTORY_LENGTH).unsqueeze(1)
        offset = torch.arange(HISTORY_LENGTH, device=ends.device).unsqueeze(0)
        inside = offset < length
        at = torch.clamp(torch.minimum(ends.unsqueeze(1) - length + offset, ends.unsqueeze(1) - 1), min=0)
        place = self._place(at)
        newest = self._days[self._place(torch.clamp(ends - 1, min=0))].unsqueeze(1)
        age_days = (newest - self._days[place]).to(torch.float32)
        return (
            torch.where(inside, self._tokens[place], 0),
            torch.where(inside, self._ratings[place], 0.0),
            torch.where(inside, age_days, 0.0),
            at,
        )

    def after(self, at: Tensor, n: int) -> Tensor:
        """As `EventWindows.after`."""
        person = self.person_of(at)
        remaining = self._starts[person] + self.counts[person] - 1 - at
        step = torch.arange(1, n + 1, device=at.device).unsqueeze(0)
        inside = step <= remaining.unsqueeze(1)
        return torch.where(inside, self._tokens[self._place(at.unsqueeze(1) + step)], 0)


def covered(begins: Int64, stops: Int64, n: int) -> Int64:
    """Places 0..n-1 that at least one of the ranges [begin, stop) covers, ascending."""
    change = np.zeros(n + 1, dtype=np.int64)
    np.add.at(change, begins, 1)
    np.add.at(change, stops, -1)
    return np.flatnonzero(np.cumsum(change[:-1]) > 0)
