"""The commands about data: `sample`, `download`, `describe` and `check`. `python -m training` mounts them."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, DownloadColumn, TextColumn, TimeRemainingColumn, TransferSpeedColumn
from rich.progress import Progress as ProgressBar
from rich.table import Table

from sample import write_sample
from training.commands.options import Home, errors_shown, print_reading
from training.data.dataset import Dataset, read_dataset
from training.data.download import BASE_URL, DATASETS
from training.data.download import download as download_dataset
from training.data.errors import FormatExists
from training.data.files import FolderFiles, open_data_files
from training.data.flags import flags
from training.data.formats.data_format import FORMAT_FILE, Scale, format_text
from training.data.formats.proposal import is_movielens, propose
from training.data.location import download_folder
from training.data.read_report import ReadLimits

app = typer.Typer(no_args_is_help=True, help="Data to train on: the embedded sample, MovieLens and your own.")


@app.command()
def sample(
    out: Annotated[Path, typer.Option(help="Folder to write; made if need be, an older sample in it is overwritten.")],
    people: Annotated[int, typer.Option(min=1, max=100_000, help="How many people to simulate.")] = 2000,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same files.")] = 7,
) -> None:
    """Write the embedded sample: real films, drawn posters, SIMULATED people.

    The folder has MovieLens' format, with metadata.csv and posters/ beside it,
    and serves as a template for data of your own. For example:

    python -m training sample --out ./sample
    """
    console = Console()
    with errors_shown(console), console.status(f"Simulating {people} people and drawing posters"):
        world = write_sample(out, people, seed)
    console.print(
        f"Wrote [bold]{out}[/]: {len(world.films)} films and {len(world.user_rows):,} ratings "
        f"by {people:,} [bold]simulated[/] people (seed {seed})"
    )


@app.command()
def download(
    name: Annotated[str, typer.Argument(help="; ".join(f"{name}: {what}" for name, what in DATASETS.items()))],
    home: Home = Path(".marquee"),
    out: Annotated[Path | None, typer.Option(help="Folder for the zip, in place of HOME/data.")] = None,
    base_url: Annotated[str, typer.Option(help="Where the zips lie, for a mirror of your own.")] = BASE_URL,
) -> None:
    """Fetch a MovieLens data set from GroupLens, checked against its published md5.

    The next run continues a broken transfer; a zip that exists is not fetched again.
    The zip is used as it is, without unpacking: DATA=ml-25m make serve
    GroupLens' terms of use are in the README inside the zip.
    """
    console = Console()
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with errors_shown(console), ProgressBar(*columns, TimeRemainingColumn(), console=console) as bar:
        task = bar.add_task(name, total=None)
        found = download_dataset(
            name,
            out or download_folder(home),
            base_url,
            lambda done, total: bar.update(task, completed=done, total=total),
        )
    if not found.fetched_bytes:
        console.print(f"[bold]{found.path}[/] is there already")
    else:
        proof = f"md5 {found.md5} as published" if found.md5 else "no md5 is published; the zip's own checksums hold"
        console.print(f"Wrote [bold]{found.path}[/] ({found.path.stat().st_size:,} bytes; {proof})")


@app.command()
def describe(
    path: Annotated[Path, typer.Argument(help="Folder, or file: data.toml is written beside it.")],
    file: Annotated[str | None, typer.Option(help="The file that holds the events.")] = None,
    user: Annotated[str | None, typer.Option(help="Its column of people.")] = None,
    item: Annotated[str | None, typer.Option(help="Its column of items.")] = None,
    rating: Annotated[str | None, typer.Option(help="Its column of ratings, likes or counts.")] = None,
    scale: Annotated[Scale | None, typer.Option(help="Scale of the ratings.")] = None,
    time: Annotated[str | None, typer.Option(help="Its column of times.")] = None,
    time_unit: Annotated[
        str | None, typer.Option(help="s, ms, us, ns, iso, order, or a strptime format such as %d.%m.%Y")
    ] = None,
    separator: Annotated[str | None, typer.Option(help="Between columns of text files.")] = None,
    header: Annotated[bool | None, typer.Option(help="Whether text files name their columns.")] = None,
    force: Annotated[bool, typer.Option(help="Replace a data.toml that is there.")] = False,
) -> None:
    """Look at data in columns of your own, and write the description that every command reads: data.toml.

    What you give is taken as it is, the rest is proposed from names and values; what is not certain is told, and
    stands as a comment in the file. Correct it there, then run check. For example:

    python -m training describe ./shop --user customer --item sku --time-unit ms
    """
    console = Console()
    names = ("file", "user", "item", "rating", "scale", "time", "time_unit", "separator", "header")
    values = (file, user, item, rating, scale, time, time_unit, separator, header)
    with errors_shown(console):
        files = open_data_files(path)
        target = (path if path.is_dir() else path.parent) / FORMAT_FILE
        if isinstance(files, FolderFiles):
            target = files.root / FORMAT_FILE
        if target.exists() and not force:
            raise FormatExists(target)
        given = {name: value for name, value in zip(names, values, strict=True) if value is not None}
        if not given and not force and is_movielens(files):
            console.print(f"{escape(str(path))} is in MovieLens' format and needs no description", highlight=False)
            return
        proposal = propose(files, given)
        text = format_text(proposal.format, proposal.doubts)
        target.write_text(text, encoding="utf-8")
    console.print(text, markup=False, highlight=False)
    console.print(f"Wrote [bold]{escape(str(target))}[/]: {escape(proposal.sentence())}", highlight=False)
    for doubt in proposal.doubts:
        console.print(f"[bold]Not certain:[/] {escape(doubt)}", highlight=False)


@app.command()
def check(
    path: Annotated[Path, typer.Argument(help="Folder, zip or file: MovieLens, or columns of your own.")],
    max_dropped_ratio: Annotated[
        float, typer.Option(min=0, max=1, help="Share of a file's rows that may be damaged before it is refused.")
    ] = ReadLimits().max_dropped_ratio,
) -> None:
    """Read a data set as training would, and show its contents and the rows that were left out.

    What can be read but looks wrong is told at the end: genres that were never split, times far from the rest, a cut
    last line, one item in half of all rows.

    Ends with status 1 and the reason when the data would be refused. For example:

    python -m training check ml-25m.zip --max-dropped-ratio 0.02
    """
    console = Console()
    with errors_shown(console):
        dataset = read_dataset(path, ReadLimits(max_dropped_ratio))
        print_reading(dataset, console)
        console.print(_files_table(dataset), _facts_table(dataset))
        for sentence in flags(dataset):
            console.print(f"[bold yellow]Looks wrong:[/] {escape(sentence)}", highlight=False)


def _files_table(dataset: Dataset) -> Table:
    """One line for each file: rows, rows used, rows left out and why."""
    table = Table(title=f"{dataset.name} ({dataset.report.layout})", title_justify="left")
    table.add_column("file")
    for heading in ("rows", "used", "left out"):
        table.add_column(heading, justify="right")
    table.add_column("why (first line)")
    for report in dataset.report.tables:
        places = report.places()
        reasons = [f"{n:,} {why} ({places[why]})" for why, n in report.dropped.items()]
        numbers = (report.rows, report.kept_rows, report.dropped_rows)
        table.add_row(report.file, *(f"{number:,}" for number in numbers), escape("\n".join(reasons)))
    return table


def _facts_table(dataset: Dataset) -> Table:
    """Contents of the data set, and the share of films with each kind of metadata."""
    events = dataset.events
    density = len(events) / (len(dataset.user_ids) * len(dataset.catalog))
    coverage = ", ".join(f"{name} {share:.1%}" for name, share in dataset.coverage().items())
    if dataset.timed:
        stamps = (events.timestamps_s.min(), events.timestamps_s.max())
        first, last = (datetime.fromtimestamp(int(stamp), UTC).date() for stamp in stamps)
        when = f"{first} to {last}"
    else:
        when = "without times, in the order of rows"
    facts = {
        "people": f"{len(dataset.user_ids):,}" + (" (simulated)" if dataset.simulated else ""),
        "films": f"{len(dataset.catalog):,}",
        "ratings" if dataset.rated else "events (no ratings)": f"{len(events):,} ({density:.2%} of all pairs), {when}",
        "films with": coverage,
        "posters without film": str(dataset.report.posters_without_film),
        "fingerprint": dataset.fingerprint,
    }
    table = Table(show_header=False)
    table.add_column()
    table.add_column(overflow="fold")
    for name, value in facts.items():
        table.add_row(name, value)
    return table
