"""The commands `synthetic` and `scale`. `python -m training` mounts them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from training.commands.options import Home, Seed, errors_shown, progress_bar

app = typer.Typer(no_args_is_help=True, help="Large data.")


@app.command("synthetic")
def synthetic_command(
    out: Annotated[Path, typer.Option(help="Folder to write; must be new or empty.")],
    events: Annotated[int, typer.Option(min=1, help="About how many ratings.")] = 25_000_000,
    people: Annotated[int, typer.Option(min=1)] = 162_000,
    films: Annotated[int, typer.Option(min=40)] = 62_000,
    seed: Seed = 0,
) -> None:
    """Write a synthetic data set in MovieLens' format, by default of ml-25m's size.

    For measuring memory and time. For example: python -m training synthetic --out big && DATA=big make release
    """
    from training.data.synthetic import Size, write_synthetic

    console = Console()
    with errors_shown(console), progress_bar(console) as progress:
        task = progress.add_task("People", total=people)
        written = write_synthetic(
            out, Size(events, people, films), seed, lambda done: progress.update(task, completed=done)
        )
    console.print(f"Wrote [bold]{out}[/]: {written:,} ratings by {people:,} simulated people of {films:,} films")


@app.command("scale")
def scale_command(
    home: Home = Path(".marquee"),
    share: Annotated[float, typer.Option(min=0.0001, max=4, help="Of ml-25m's events and people.")] = 1.0,
    step: Annotated[list[str] | None, typer.Option(help="Only these steps; may be repeated.")] = None,
    whole: Annotated[bool, typer.Option(help="Then also a whole training, without posters.")] = False,
    seed: Seed = 0,
) -> None:
    """Measure peak memory and time of every step of a training on synthetic data of ml-25m's size.

    Each step is a process of its own: prepare (reading and writing Parquet), an epoch of each network streamed from
    Parquet and from memory, EASE, iALS. Status 1 when a step fails or needs more than 12 GiB. For example:

    python -m training scale --share 0.1
    """
    from training.data.synthetic import Size
    from training.evaluation.scale import LIMIT_BYTES, STEPS, Cost, measured, step_command

    console, size = Console(), Size().scaled(share) if share != 1 else Size()
    folder = home / "scale" / f"{size.events}-{size.people}-{size.films}-{seed}"
    data, prepared = folder / "data", folder / "prepared"
    costs: list[Cost] = []

    def measure(name: str, command: list[str]) -> None:
        cost = measured(name, command)
        costs.append(cost)
        # Printed at once: the table may come hours later, or never after an interruption.
        console.print(f"{name}: {cost.seconds:.1f} s, {cost.peak_bytes / 2**20:,.0f} MiB", highlight=False)

    if not (folder / "whole-data").exists():
        generate = ["synthetic", "--out", str(data), "--events", str(size.events), "--people", str(size.people)]
        generate += ["--films", str(size.films), "--seed", str(seed)]
        measure("synthetic", [sys.executable, "-m", "training", *generate])
        if not costs[-1].failed:
            (folder / "whole-data").touch()
    for name in step or STEPS:
        measure(name, step_command(name, data, prepared))
    if whole:
        train = ["train", "--data", str(data), "--home", str(folder / "home"), "--no-posters", "--no-track"]
        measure("train", [sys.executable, "-m", "training", *train])
    table = Table(title=f"{size.events:,} events, {size.people:,} people, {size.films:,} films", title_justify="left")
    for heading in ("step", "seconds", "peak MiB", ""):
        table.add_column(heading, justify="left" if heading == "step" else "right")
    for cost in costs:
        verdict = "[red]failed[/]" if cost.failed else "[red]above 12 GiB[/]" if cost.peak_bytes > LIMIT_BYTES else ""
        table.add_row(cost.step, f"{cost.seconds:.1f}", f"{cost.peak_bytes / 2**20:,.0f}", verdict)
    console.print(table)
    raise typer.Exit(int(any(cost.failed or cost.peak_bytes > LIMIT_BYTES for cost in costs)))


@app.command("scale-step", hidden=True)
def scale_step_command(
    step: Annotated[str, typer.Argument()],
    data: Annotated[Path, typer.Option()],
    prepared: Annotated[Path, typer.Option()],
) -> None:
    """One step of `scale`, in this process."""
    from training.evaluation.scale import run_step

    run_step(step, data, prepared)
