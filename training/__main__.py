"""`python -m training`: train, evaluate, and the commands about data."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from training.data_commands import app as data_app
from training.data_errors import DataError
from training.data_location import SAMPLE, locate_data
from training.dataset import Dataset, read_dataset
from training.evaluation_table import DEMANDED_OF, evaluation_table, shortfalls
from training.options import TrainOptions
from training.splits import Protocol
from training.train import checkpoint_folder, train

app = typer.Typer(no_args_is_help=True, help="Train the models of a release, and measure them.")
app.registered_commands += data_app.registered_commands

Data = Annotated[str, typer.Option(envvar="DATA", help="`sample`, a MovieLens folder or zip, or a downloaded name.")]
Home = Annotated[Path, typer.Option(envvar="MARQUEE_HOME", help="Folder for data, caches and checkpoints.")]
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


@app.command("train")
def train_command(
    data: Data = SAMPLE,
    home: Home = Path(".marquee"),
    hold_out: Annotated[
        Protocol | None, typer.Option(help="Keep these events away from the models, to score the served release on.")
    ] = None,
    seed: Seed = 0,
    device: Device = "auto",
    posters: Posters = True,
    poster_weights: PosterWeights = "auto",
) -> None:
    """Train all models and save them below HOME/checkpoints, or find them there.

    For example: python -m training train --data ml-latest-small --hold-out last5
    """
    console = Console()
    dataset = _read(data, home, console)
    options = _options(seed, device, hold_out, posters, poster_weights)
    trained = train(dataset, home, options)
    for name, report in trained.metrics.items():
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
) -> None:
    """Train with events held out and rank the whole catalogue for the people they were taken from.

    Weights and epochs are chosen on validation events; the held-out ones are looked at once, at the end.
    On ml-latest-small the figures stand beside those demanded, and a miss ends with status 1.
    """
    console = Console(width=180 if not Console().is_terminal else None)
    dataset = _read(data, home, console)
    demanded = dataset.name == DEMANDED_OF
    missed: list[str] = []
    for held_out in protocol or [Protocol.LAST5, Protocol.NEWUSER]:
        report = train(dataset, home, _options(seed, device, held_out, posters, poster_weights)).metrics["test"]
        title = f"{dataset.name} test" + (" (this split leaks the future)" if held_out == Protocol.RANDOM else "")
        console.print(evaluation_table(title, report, demanded))
        missed += shortfalls(report) if demanded else []
    for line in missed:
        console.print(f"[bold red]missed[/] {line}", highlight=False)
    raise typer.Exit(1 if missed else 0)


def _options(seed: int, device: str, hold_out: Protocol | None, posters: bool, poster_weights: str) -> TrainOptions:
    options = TrainOptions(hold_out=hold_out, seed=seed, device=device)
    content = replace(options.content, posters=posters, poster_weights=poster_weights, seed=seed)
    return replace(options, content=content)


def _read(data: str, home: Path, console: Console) -> Dataset:
    """The data set; what is wrong with it becomes one readable line and exit status 1."""
    try:
        return read_dataset(locate_data(data, home))
    except DataError as error:
        console.print(f"[bold red]{type(error).__name__}:[/]", end=" ")
        console.print(str(error), markup=False, highlight=False)
        raise typer.Exit(1) from error


if __name__ == "__main__":
    app()
