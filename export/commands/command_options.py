"""Options that several commands of `python -m export` take, and how their errors are shown."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from export.errors import ExportError
from training.data.errors import DataError

Data = Annotated[str, typer.Option(envvar="DATA", help="`sample`, a MovieLens folder or zip, or a downloaded name.")]
Home = Annotated[Path, typer.Option(envvar="MARQUEE_HOME", help="Folder for data, caches and checkpoints.")]
Seed = Annotated[int, typer.Option(min=0, help="Of the training: the same seed gives the same models.")]
Posters = Annotated[bool, typer.Option(help="Encode posters; without it films have no poster vector.")]
PosterWeights = Annotated[
    str,
    typer.Option(
        envvar="POSTER_WEIGHTS",
        help="Of the poster network: a ResNet50 state dict (.pth, .safetensors); imagenet (downloaded); scratch "
        "(trained on the posters at hand); auto (ImageNet's where torch hub has them already, else scratch).",
    ),
]
Device = Annotated[str, typer.Option(help="Where to train: auto, cuda, mps or cpu.")]
OptionsFile = Annotated[
    Path | None,
    typer.Option(
        "--options", help="JSON that replaces training options; `training tune` and `training finetune` write one."
    ),
]


@contextmanager
def errors_shown(console: Console) -> Iterator[None]:
    """What is known to go wrong becomes one line and exit status 1."""
    try:
        yield
    except (ExportError, DataError) as error:
        console.print(f"[bold red]{type(error).__name__}:[/]", end=" ")
        console.print(str(error), markup=False)
        raise typer.Exit(1) from error
