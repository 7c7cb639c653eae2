"""`python -m export evaluate`: train with events held out, export, serve, and ask the server for everybody's list."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast, get_args

import typer
from rich.console import Console

from export.commands.builder import ReleaseBuilder
from export.commands.command_options import Data, Device, Home, OptionsFile, Posters, PosterWeights, Seed, errors_shown
from export.commands.ensure import ensure
from export.commands.release_options import HoldOut, ReleaseOptions
from export.release.manifest import read_manifest

if TYPE_CHECKING:
    from training.data.splits import Rows

app = typer.Typer()

KEPT = 8
"""Releases in the evaluation's own repository: every protocol for two seeds."""

DEMANDED_PROTOCOLS = ("last5", "newuser")
WIDE_COLUMNS = 180
"""Of the table where the terminal's width is not known."""

progress_console = Console(stderr=True, highlight=False)


def _known(protocols: list[str] | None) -> list[str] | None:
    for name in protocols or ():
        if name not in get_args(HoldOut):
            raise typer.BadParameter(f"{name!r} is not one of {', '.join(get_args(HoldOut))}")
    return protocols


Protocols = Annotated[
    list[str] | None,
    typer.Option("--protocol", callback=_known, help=f"What to hold out: {', '.join(get_args(HoldOut))}; repeatable."),
]


@app.command("evaluate")
def evaluate_command(
    data: Data = "sample",
    home: Home = Path(".marquee"),
    protocol: Protocols = None,
    seed: Seed = 0,
    device: Device = "auto",
    posters: Posters = True,
    poster_weights: PosterWeights = "auto",
    options_file: OptionsFile = None,
) -> None:
    """Measure what is served: releases without the held-out events, asked over HTTP for every test person.

    Sources are scored from their ONNX files. On ml-latest-small the figures stand beside those demanded, and a miss
    ends with status 1. last5 and newuser unless said otherwise; random leaks the future. For example:

    python -m export evaluate --data ml-latest-small --protocol last5 --protocol last1
    """
    from training.evaluation.table import DEMANDED_OF, evaluation_table, shortfalls

    console = Console(width=None if Console().is_terminal else WIDE_COLUMNS)
    missed: list[str] = []
    with errors_shown(progress_console):
        for held_out in protocol or DEMANDED_PROTOCOLS:
            options = ReleaseOptions(
                data, cast(HoldOut, held_out), seed, posters, device, poster_weights=poster_weights,
                options_file=options_file,
            )  # fmt: skip
            name, report = measured(options, home)
            console.print(evaluation_table(f"{name} served", report, name == DEMANDED_OF))
            missed += shortfalls(report) if name == DEMANDED_OF else []
    for line in missed:
        console.print(f"[bold red]missed[/] {line}", highlight=False)
    raise typer.Exit(1 if missed else 0)


def measured(options: ReleaseOptions, home: Path) -> tuple[str, dict[str, Any]]:
    """Name of the data, and the report of a release that was trained, exported and served as chosen."""
    # A repository of its own: releases with events held out are not for people.
    repository = home / "evaluation" / "model_repository"
    builder = ReleaseBuilder(repository, home, KEPT, progress_console)
    ensured = ensure(options, repository, home, lambda: builder.build(options, None), progress_console.print)
    release = read_manifest(repository).releases[ensured.number]

    from export.evaluation.served import evaluate_exported, evaluate_served, joined
    from export.evaluation.server_process import running_server
    from training.data.dataset import read_dataset
    from training.data.location import locate_data
    from training.data.splits import Protocol, hold_out, sample_people

    assert options.hold_out is not None
    dataset = read_dataset(locate_data(options.data, home))
    tested_people = options.train_options().tested_people
    split = sample_people(
        hold_out(dataset.events, Protocol(options.hold_out), options.seed), tested_people, options.seed
    )
    with progress_console.status("Scoring the exported encoders"):
        offline = evaluate_exported(repository, ensured.number, release, split)
    with running_server(repository, ensured.number) as url:
        served = evaluate_served(url, dataset, split, _tracked)
    report = joined(offline, served).report()
    return dataset.name, report | {"comparison": release.metrics["test"]["comparison"]}


def _tracked(answers: Iterator[Rows], total: int, what: str) -> Iterator[Rows]:
    from rich.progress import track

    return iter(track(answers, description=what, total=total, console=progress_console))
