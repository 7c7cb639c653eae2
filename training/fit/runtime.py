"""How a training uses this machine: scratch space, streaming from disk, resuming, precision.

None of this is an option of the training: equal options give equal models; mixed precision changes them by rounding
only.
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
from training.fit.resume import ResumeFile


class Precision(StrEnum):
    """Precision of the inner layers during training; losses, weights and served models are always single precision."""

    AUTO = "auto"
    """bf16 on CUDA, fp32 elsewhere."""
    FP32 = "fp32"
    BF16 = "bf16"


@dataclass(frozen=True, slots=True)
class Runtime:
    """What one training may use."""

    scratch: Path | None = None
    """Folder for events that are streamed; None = never stream."""
    stream_above: int = 5_000_000
    """With more events than this the networks learn from Parquet instead of memory."""
    resume_folder: Path | None = None
    """Folder of the networks' state after each epoch, from which an interrupted training resumes; None = not kept."""
    precision: Precision = Precision.AUTO

    def part(self, name: str) -> Runtime:
        """The same for one part of a training, "trial" or "release"."""
        return replace(self, resume_folder=self.resume_folder / name) if self.resume_folder else self

    def resume_file(self, network: str) -> ResumeFile | None:
        """The file of a network's state."""
        return ResumeFile(self.resume_folder / f"{network}.pt") if self.resume_folder else None

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


IN_MEMORY = Runtime()
"""Nothing streamed, no state written."""


def runtime_of(home: Path, stream_above: int | None = None, precision: Precision = Precision.AUTO) -> Runtime:
    """The runtime of trainings below `home`.

    stream_above: the default of `Runtime` when None."""
    runtime = Runtime(scratch=home / "scratch", precision=precision)
    return runtime if stream_above is None else replace(runtime, stream_above=stream_above)
