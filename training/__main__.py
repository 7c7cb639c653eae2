"""`python -m training`: the commands train and evaluate, and those of `training.commands`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from training.checkpoint import checkpoint_folder
from training.commands.data import app as data_app
from training.commands.files import app as file_app
from training.commands.finetune import app as finetune_app
from training.commands.options import (
    Data,
    Device,
    HoldOut,
    Home,
    OptionsFile,
    Posters,
    PosterWeights,
    Seed,
    StreamAbove,
    Track,
    TrackingUri,
    TrainPrecision,
    errors_shown,
    read_data,
    tracking_store,
    train_options,
)
from training.commands.scale import app as scale_app
from training.commands.tune import app as tuning_app
from training.data.location import SAMPLE
from training.data.splits import Protocol
from training.evaluation.table import DEMANDED_OF, evaluation_table, shortfalls
from training.fit.runtime import Precision, runtime_of
from training.tracking.runs import train_tracked

app = typer.Typer(no_args_is_help=True, help="Train the models of a release, and measure them.")
for commands in (data_app, file_app, tuning_app, finetune_app, scale_app):
    app.registered_commands += commands.registered_commands


@app.command("train")
def train_command(
    data: Data = SAMPLE,
    home: Home = Path(".marquee"),
    hold_out: HoldOut = None,
    seed: Seed = 0,
    device: Device = "auto",
    posters: Posters = True,
    poster_weights: PosterWeights = "auto",
    options_file: OptionsFile = None,
    precision: TrainPrecision = Precision.AUTO,
    stream_above: StreamAbove = None,
    track: Track = None,
    tracking_uri: TrackingUri = None,
) -> None:
    """Train all models and save them below HOME/checkpoints, or find them there.

    An interrupted training resumes after the last epoch that each network finished.
    For example: python -m training train --data ml-latest-small --hold-out last5
    """
    console = Console()
    store = tracking_store(track, tracking_uri, home, console)
    dataset = read_data(data, home, console)
    with errors_shown(console):
        options = train_options(seed, device, hold_out, posters, poster_weights, options_file)
        checkpoint = train_tracked(dataset, home, options, store, runtime_of(home, stream_above, precision))
    for name, report in checkpoint.metrics.items():
        console.print(evaluation_table(f"{dataset.name} {name}", report, beside_demanded=False))
    console.print(f"Saved in [bold]{checkpoint_folder(dataset, home, options)}[/]")


@app.command("evaluate")
def evaluate_command(
    data: Data = SAMPLE,
    home: Home = Path(".marquee"),
    protocol: Annotated[list[Protocol] | None, typer.Option(help="What to hold out; may be repeated.")] = None,
    seed: Seed = 0,
    device: Device = "auto",
    posters: Posters = True,
    poster_weights: PosterWeights = "auto",
    options_file: OptionsFile = None,
    precision: TrainPrecision = Precision.AUTO,
    stream_above: StreamAbove = None,
    track: Track = None,
    tracking_uri: TrackingUri = None,
) -> None:
    """Train with events held out and rank the whole catalogue for the people they were taken from.

    Weights and epochs are chosen on validation events; the held-out ones are used once, at the end.
    On ml-latest-small the figures are compared with those demanded; a miss ends with status 1.
    """
    console = Console(width=180 if not Console().is_terminal else None)
    store = tracking_store(track, tracking_uri, home, console)
    dataset = read_data(data, home, console)
    demanded = dataset.name == DEMANDED_OF
    missed: list[str] = []
    for held_out in protocol or [Protocol.LAST5, Protocol.NEWUSER]:
        with errors_shown(console):
            options = train_options(seed, device, held_out, posters, poster_weights, options_file)
            checkpoint = train_tracked(dataset, home, options, store, runtime_of(home, stream_above, precision))
        report = checkpoint.metrics["test"]
        console.print(evaluation_table(f"{dataset.name} test", report, demanded))
        missed += shortfalls(report) if demanded else []
    for line in missed:
        console.print(f"[bold red]missed[/] {line}", highlight=False)
    raise typer.Exit(1 if missed else 0)


if __name__ == "__main__":
    app()
