"""Peak memory and time of each step of a large training; each step runs in its own process."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import torch

from features.catalog import Catalog
from training.data.dataset import Events, read_dataset
from training.data.event_table import EVENT_COLUMNS
from training.data.item_features import ItemFeatures, item_features
from training.data.location import locate_data
from training.data.prepared.prepare import prepare
from training.data.prepared.tables import Prepared
from training.data.splits import Protocol
from training.fit.networks import TrainableNetwork, sequence_network, two_tower_network
from training.models.ease import EaseConfig, fit_ease
from training.models.ials import IalsConfig, fit_ials
from training.models.sequence import SequenceConfig
from training.models.two_tower import TwoTowerConfig

LIMIT_BYTES = 12 * 2**30
"""Peak memory allowed to each step at ml-25m's size."""

WATCH_S = 0.02
"""Between two readings of a process; the peak never falls, so only growth after the last reading is missed."""

CONTENT_WIDTH = 128
"""Columns of random numbers in place of text vectors, whose encoding is cached and not measured here."""


@dataclass(frozen=True, slots=True)
class Cost:
    """Peak memory and time of one step."""

    step: str
    seconds: float
    peak_bytes: int
    failed: bool


def measured(step: str, command: list[str]) -> Cost:
    """Run a command and read its peak resident memory (Linux).

    Not ru_maxrss: a child process starts with its parent's.
    """
    started, peak_bytes = time.monotonic(), 0
    process = subprocess.Popen(command)
    while process.poll() is None:
        peak_bytes = max(peak_bytes, _peak_bytes(process.pid))
        time.sleep(WATCH_S)
    return Cost(step, time.monotonic() - started, peak_bytes, process.returncode != 0)


def _peak_bytes(pid: int) -> int:
    """Peak resident memory of a process; 0 when it has just ended."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    return int(found.group(1)) * 1024 if found else 0


def step_command(step: str, data: Path, prepared: Path) -> list[str]:
    """The command that runs one step in its own process."""
    return [sys.executable, "-m", "training", "scale-step", step, "--data", str(data), "--prepared", str(prepared)]


def run_step(step: str, data: Path, prepared: Path) -> None:
    """One of `STEPS`, in this process; networks on one thread, as in a training."""
    torch.set_num_threads(1)
    STEPS[step](data, prepared)


def _prepare(data: Path, prepared: Path) -> None:
    dataset = read_dataset(locate_data(str(data), prepared))
    dataset.catalog.save(prepared.with_suffix(".catalog.json"))
    prepare(Prepared.of(dataset, Protocol.LAST5), prepared)


def _read(prepared: Path) -> tuple[Catalog, Events]:
    table = pq.read_table(prepared / "train.parquet", columns=list(EVENT_COLUMNS))
    events = Events(*(table.column(name).to_numpy() for name in EVENT_COLUMNS))
    return Catalog.load(prepared.with_suffix(".catalog.json")), events


def _features(prepared: Path) -> tuple[ItemFeatures, Events]:
    catalog, events = _read(prepared)
    content = np.random.default_rng(0).normal(size=(len(catalog), CONTENT_WIDTH)).astype(np.float32)
    return item_features(catalog, events, content), events


def _epoch(fit: TrainableNetwork) -> None:
    fit.train(None, lambda curve: print(f"loss {curve.losses[-1]:.4f}", flush=True))


def _sequence(streamed: bool) -> Callable[[Path, Path], None]:
    def step(data: Path, prepared: Path) -> None:
        features, events = _features(prepared)
        source = prepared / "train.parquet" if streamed else events
        del events
        config = replace(SequenceConfig(), stop_after=1)
        _epoch(sequence_network(source, features, config, 0, torch.device("cpu")))

    return step


def _two_tower(streamed: bool) -> Callable[[Path, Path], None]:
    def step(data: Path, prepared: Path) -> None:
        features, events = _features(prepared)
        source = prepared / "train.parquet" if streamed else events
        del events
        config = replace(TwoTowerConfig(), stop_after=1)
        _epoch(two_tower_network(source, features, config, 0, torch.device("cpu")))

    return step


def _ease(data: Path, prepared: Path) -> None:
    catalog, events = _read(prepared)
    fit_ease(events.user_rows, events.item_rows, len(catalog), EaseConfig())


def _ials(data: Path, prepared: Path) -> None:
    catalog, events = _read(prepared)
    fit_ials(events.user_rows, events.item_rows, len(catalog), IalsConfig())


STEPS: Mapping[str, Callable[[Path, Path], None]] = {
    "prepare": _prepare,
    "sequence": _sequence(streamed=True),
    "two-tower": _two_tower(streamed=True),
    "sequence-in-memory": _sequence(streamed=False),
    "two-tower-in-memory": _two_tower(streamed=False),
    "ease": _ease,
    "ials": _ials,
}
"""What can be measured, in this order; "prepare" comes first, the others read what it wrote."""
