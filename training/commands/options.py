"""Shared by the commands: their common options, and errors shown as one readable line."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from sample import FolderInUse
from training.checkpoint import CheckpointFormatError, CheckpointNotFound
from training.data.dataset import Dataset, read_dataset
from training.data.errors import DataError
from training.data.location import locate_data
from training.data.splits import Protocol
from training.fit.runtime import Precision
from training.options import TrainOptions, read_options
from training.tracking.runs import Store, available

Data = Annotated[str, typer.Option(envvar="DATA", help="`sample`, a folder, zip or file, or a downloaded name.")]
Home = Annotated[Path, typer.Option(envvar="MARQUEE_HOME", help="Folder for data, caches and checkpoints.")]
HoldOut = Annotated[
    Protocol | None,
    typer.Option(help="Keep these events away from the models, to score the served release on."),
]
Seed = Annotated[int, typer.Option(min=0, help="The same seed on the same data gives the same models.")]
Device = Annotated[str, typer.Option(help="auto, cuda, mps or cpu.")]
Posters = Annotated[bool, typer.Option(help="Encode posters; without it films have no poster vector.")]
PosterWeights = Annotated[
    str,
    typer.Option(
        envvar="POSTER_WEIGHTS",
        help="Of the poster network: a ResNet50 state dict (.pth, .safetensors); imagenet (downloaded); scratch "
        "(trained on the posters at hand); auto (ImageNet's where torch hub has them already, else scratch).",
    ),
]

OptionsFile = Annotated[
    Path | None,
    typer.Option(
        "--options",
        help='JSON that replaces defaults, such as {"ease": {"l2": 300}}; `tune` and `finetune` write such files.',
    ),
]
StreamAbove = Annotated[
    int | None,
    typer.Option(
        min=0, help="Events from which on the networks learn from Parquet instead of memory; by default 5 million."
    ),
]
TrainPrecision = Annotated[
    Precision, typer.Option("--precision", help="Of the networks' insides while they train; auto: bf16 on CUDA.")
]
Track = Annotated[
    bool | None,
    typer.Option(help="Write the training down in MLflow; by default when MLflow is installed (the extra `lab`)."),
]
TrackingUri = Annotated[
    str | None,
    typer.Option(envvar="MLFLOW_TRACKING_URI", help="Where; by default the SQLite file HOME/mlflow.db."),
]


def tracking_store(track: bool | None, uri: str | None, home: Path, console: Console) -> Store | None:
    """The MLflow store to record in, or None; prints why when the training is not recorded."""
    if track is False:
        return None
    if available():
        return Store.of(uri, home)
    remedy = "install the extra `lab` (make lab), or say --no-track"
    if track:
        console.print(f"[bold red]MLflow is not installed:[/] {remedy}", highlight=False)
        raise typer.Exit(1)
    console.print(f"MLflow is not installed: this training is not written down; {remedy}", highlight=False)
    return None


def train_options(
    seed: int, device: str, hold_out: Protocol | None, posters: bool, poster_weights: str, file: Path | None = None
) -> TrainOptions:
    """The options of a training; the command line overrides the file.

    Raises: OptionsError.
    """
    options = read_options(file, TrainOptions()) if file else TrainOptions()
    options = replace(options, hold_out=hold_out, seed=seed, device=device)
    content = replace(options.content, posters=posters, poster_weights=poster_weights, seed=seed)
    return replace(options, content=content)


def read_data(data: str, home: Path, console: Console) -> Dataset:
    """The data set; an error in it becomes one readable line and exit status 1."""
    with errors_shown(console):
        dataset = read_dataset(locate_data(data, home))
    print_reading(dataset, console)
    return dataset


def print_reading(dataset: Dataset, console: Console) -> None:
    """Say what was taken for what where that was recognised, and what the data cannot give."""
    if dataset.report.taken_as:
        console.print(f"Taken as {dataset.report.taken_as}", markup=False, highlight=False)
    for sentence in dataset.left_out():
        console.print(sentence, highlight=False)


@contextmanager
def errors_shown(console: Console) -> Iterator[None]:
    """Expected errors become one readable paragraph and exit status 1."""
    try:
        yield
    except (DataError, FolderInUse, CheckpointFormatError, CheckpointNotFound) as error:
        console.print(f"[bold red]{type(error).__name__}:[/]", end=" ")
        console.print(str(error), markup=False, highlight=False)
        raise typer.Exit(1) from error


def progress_bar(console: Console) -> Progress:
    """Named bars with the elapsed time."""
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    return Progress(*columns, console=console)
