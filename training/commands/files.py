"""The commands that write files: `prepare`, `embeddings`, `report`. `python -m training` mounts them."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import TaskID

from training.commands.options import (
    Data,
    HoldOut,
    Home,
    OptionsFile,
    Posters,
    PosterWeights,
    Seed,
    errors_shown,
    progress_bar,
    read_data,
    train_options,
)
from training.data.location import SAMPLE
from training.data.splits import Protocol

app = typer.Typer(no_args_is_help=True, help="Files for other tools.")


@app.command("prepare")
def prepare_command(
    out: Annotated[
        Path, typer.Option(help="Folder to write; made if need be, older files of these names are replaced.")
    ],
    data: Data = SAMPLE,
    home: Home = Path(".marquee"),
    hold_out: Annotated[Protocol, typer.Option(help="Which events become test.parquet.")] = Protocol.LAST5,
    seed: Seed = 0,
) -> None:
    """Write people, films, interactions, train and test as Parquet, and statistics.json.

    \b
    users.parquet         a line a person: events, mean and deviation of their ratings, favourite genres
    movies.parquet        a line a film: title, year, genres, text, events, mean and deviation of its ratings
    interactions.parquet  every event with both ids and rows, the rating and the same in the person's own
                          deviations (rating_normalised), day (0 = Monday) and hour in UTC, and its split
    train.parquet, test.parquet  the interactions of each split

    Everything counted about people and films leaves the test out. Row groups hold whole people. For example:

    python -m training prepare --data ml-latest-small --out prepared && python -c
    "import polars; print(polars.read_parquet('prepared/train.parquet'))"
    """
    from training.data.prepared.prepare import FILES, prepare
    from training.data.prepared.tables import Prepared

    console = Console()
    dataset = read_data(data, home, console)
    tasks: dict[str, TaskID] = {}
    with errors_shown(console), progress_bar(console) as progress:

        def on_rows(file: str, done: int, total: int) -> None:
            if file not in tasks:
                tasks[file] = progress.add_task(file, total=max(total, 1))
            progress.update(tasks[file], completed=max(done, int(total == 0)))

        facts = prepare(Prepared.of(dataset, hold_out, seed), out, on_rows)
    console.print(
        f"Wrote {', '.join(FILES)} and statistics.json to [bold]{out}[/]: {facts['train_events']:,} events to learn "
        f"from, {facts['test_events']:,} to predict, of {facts['people']:,} {'SIMULATED ' * dataset.simulated}people "
        f"and {facts['films']:,} films",
        highlight=False,
    )


@app.command("embeddings")
def embeddings_command(
    out: Annotated[
        Path, typer.Option(help="Folder to write; made if need be, older files of these names are replaced.")
    ],
    data: Data = SAMPLE,
    home: Home = Path(".marquee"),
    hold_out: HoldOut = None,
    seed: Seed = 0,
    posters: Posters = True,
    poster_weights: PosterWeights = "auto",
    options_file: OptionsFile = None,
) -> None:
    """Write the vectors of people and films of a finished training: .npy, Parquet and embeddings.json.

    \b
    users_<source>.npy, movies_<source>.npy  (rows, width) float32; a score is the dot product of two rows
    users.parquet, movies.parquet            the same as columns, beside ids and titles
    embeddings.json                          what each source is, and what it was trained on

    Takes the options of the training, which must have been done: python -m training train. The vectors of a release
    that was exported already: python -m export embeddings. For example:

    python -m training embeddings --data ml-latest-small --out vectors
    """
    from training.checkpoint import checkpoint_folder, find_checkpoint
    from training.data.splits import split_by_person, visible_events
    from training.fit.trainer import encode
    from training.ranking.embeddings import embed, write_embeddings

    console = Console()
    dataset = read_data(data, home, console)
    with errors_shown(console), progress_bar(console) as progress:
        options = train_options(seed, "auto", hold_out, posters, poster_weights, options_file)
        checkpoint = find_checkpoint(dataset, home, options)
        people, histories = split_by_person(visible_events(dataset.events, hold_out, seed))
        task = progress.add_task("Encoding people", total=len(people))
        embeddings = embed(
            {"checkpoint": checkpoint_folder(dataset, home, options).name, "data": checkpoint.facts},
            checkpoint.catalog,
            checkpoint.item_vectors,
            ([dataset.user_ids[row] for row in people], histories),
            lambda name, tensors: encode(checkpoint.encoders, name, tensors),
            lambda done: progress.update(task, completed=done),
        )
        written = write_embeddings(embeddings, out)
    console.print(
        f"Wrote {len(written)} files to [bold]{out}[/]: {len(embeddings.user_ids):,} "
        f"{'SIMULATED ' * dataset.simulated}people and {len(embeddings.catalog):,} films in the spaces of "
        f"{', '.join(embeddings.movies)}",
        highlight=False,
    )


@app.command("report")
def report_command(
    out: Annotated[Path | None, typer.Option(help="Folder to write; by default reports/<data>-<options>.")] = None,
    data: Data = SAMPLE,
    home: Home = Path(".marquee"),
    hold_out: HoldOut = None,
    seed: Seed = 0,
    posters: Posters = True,
    poster_weights: PosterWeights = "auto",
    options_file: OptionsFile = None,
) -> None:
    """Write the report of a finished training: Markdown with plots, and the model card.

    Learning curves, every metric with its 95 % interval, quality by length of history and by
    popularity of films, coverage, and a map of the films. Takes the options of the training, which must have been
    done. For example:

    python -m training report --data ml-latest-small --hold-out last5
    """
    console = Console()
    if importlib.util.find_spec("matplotlib") is None:
        console.print("[bold red]matplotlib is not installed:[/] install the extra `lab` (make lab)")
        raise typer.Exit(1)
    from training.checkpoint import find_checkpoint
    from training.evaluation.report import write_report

    dataset = read_data(data, home, console)
    with errors_shown(console):
        options = train_options(seed, "auto", hold_out, posters, poster_weights, options_file)
        checkpoint = find_checkpoint(dataset, home, options)
    folder = out or Path("reports") / f"{dataset.name}-{options.hash}"
    with console.status("Drawing"):
        write_report(checkpoint, folder)
    console.print(f"Wrote [bold]{folder / 'report.md'}[/] and model_card.md", highlight=False)
