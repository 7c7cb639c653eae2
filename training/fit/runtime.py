"""How a training runs on this machine: where it keeps what it needs, what it streams, in which precision it computes.

None of this is an option of the training: the same options give the same models, mixed precision changing no more
than rounding does.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from training.data.dataset import Events
from training.data.event_table import write_event_table
from training.fit.resume import Unfinished


class Precision(StrEnum):
    """Of the networks' insides while they train; losses, weights and what is served are single precision always."""

    AUTO = "auto"
    """bf16 on CUDA, fp32 elsewhere."""
    FP32 = "fp32"
    BF16 = "bf16"


@dataclass(frozen=True, slots=True)
class Running:
    """One training at work."""

    scratch: Path | None = None
    """Folder for events that are streamed; None = they are never."""
    stream_above: int = 5_000_000
    """With more events than this the networks learn from Parquet instead of memory."""
    unfinished: Path | None = None
    """Folder of the networks' state after each epoch, from which an interrupted training goes on; None = nowhere."""
    precision: Precision = Precision.AUTO

    def part(self, name: str) -> Running:
        """The same for one part of a training, "trial" or "release"."""
        return replace(self, unfinished=self.unfinished / name) if self.unfinished else self

    def state_of(self, network: str) -> Unfinished | None:
        """Where a network's state is kept."""
        return Unfinished(self.unfinished / f"{network}.pt") if self.unfinished else None

    def mixed(self, device: torch.device) -> bool:
        """Whether networks compute in bf16."""
        return self.precision == Precision.BF16 or (self.precision == Precision.AUTO and device.type == "cuda")

    def streams(self, events: Events) -> bool:
        """Whether networks learn from these events a piece at a time."""
        return self.scratch is not None and len(events) > self.stream_above

    @contextmanager
    def source(self, events: Events) -> Iterator[Events | Path]:
        """What the networks learn from: the events, or an event table of them that is removed at the end."""
        if self.scratch is None or not self.streams(events):
            yield events
            return
        self.scratch.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=self.scratch, prefix="events-") as folder:
            path = Path(folder) / "events.parquet"
            write_event_table(path, events)
            yield path


IN_MEMORY = Running()
"""Nothing streamed, nothing kept."""


def running_below(home: Path, stream_above: int | None = None, precision: Precision = Precision.AUTO) -> Running:
    """How trainings of a home run; the default number of events above which they stream with None."""
    running = Running(scratch=home / "scratch", precision=precision)
    return running if stream_above is None else replace(running, stream_above=stream_above)
