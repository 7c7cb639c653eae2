"""The command `tune`. `python -m training` mounts it."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Annotated, Any, Literal

import orjson
import typer
from rich.console import Console
from rich.table import Table

from training.commands.options import (
    Data,
    Device,
    Home,
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

app = typer.Typer(no_args_is_help=True, help="Better options.")

Model = Literal["ease", "ials", "sequence", "two_tower"]


@app.command("tune")
def tune_command(
    model: Annotated[Model, typer.Option(help="Which model's options to search.")],
    data: Data = SAMPLE,
    home: Home = Path(".marquee"),
    trials: Annotated[int, typer.Option(min=1, help="Trials in all, those of earlier runs among them.")] = 20,
    hold_out: Annotated[Protocol, typer.Option(help="The test: cut away first, never looked at.")] = Protocol.LAST5,
    storage: Annotated[str | None, typer.Option(help="An SQLAlchemy address; by default HOME/tuning.db.")] = None,
    seed: Seed = 0,
    device: Device = "auto",
    posters: Posters = True,
    poster_weights: PosterWeights = "auto",
) -> None:
    """Search one model's options by Optuna, on validation people alone; the best are written to a file.

    The study is stored: the same command continues it, with more --trials, after Ctrl-C or a crash.
    Its first trial is the default options. For example:

    \b
    python -m training tune --model ease --data ml-latest-small --trials 40
    python -m training train --data ml-latest-small --options .marquee/tuning/ease-ml-latest-small.json
    """
    console = Console()
    if importlib.util.find_spec("optuna") is None:
        console.print("[bold red]Optuna is not installed:[/] install the extra `lab` (make lab)")
        raise typer.Exit(1)
    from training.content.encode import encode_content
    from training.options import pick_device
    from training.tuning.study import Bench, best_options, storage_below, study_name, tune

    dataset = read_data(data, home, console)
    with errors_shown(console):
        options = train_options(seed, device, hold_out, posters, poster_weights)
        content = encode_content(dataset, home / "cache", options.content, pick_device(options.device))
    bench = Bench.of(dataset, content, options)
    with progress_bar(console) as progress:
        task = progress.add_task(f"Tuning {model}", total=trials)

        def on_trial(study: Any) -> None:
            progress.update(task, completed=len(study.trials), description=f"{model}: best {study.best_value:.4f}")

        study = tune(
            bench, model, storage or storage_below(home), study_name(dataset, model, hold_out), trials, on_trial
        )
    out = home / "tuning" / f"{model}-{dataset.name}.json"
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_bytes(orjson.dumps(best_options(study, model), option=orjson.OPT_INDENT_2))
    console.print(_table(study), f"Wrote [bold]{out}[/]: give it to train, evaluate or export with --options")


def _table(study: Any) -> Table:
    """A table of the first and the best trial."""
    first, best = study.trials[0], study.best_trial
    table = Table(title=f"{study.study_name}: {len(study.trials)} trials", title_justify="left")
    for heading in ("", "as it was", f"best (trial {best.number})"):
        table.add_column(heading)
    table.add_row("validation NDCG@10", f"{first.value:.4f}", f"[bold]{best.value:.4f}[/]")
    for name, value in best.params.items():
        was = first.params.get(name)
        table.add_row(name, *(f"{one:.4g}" if isinstance(one, float) else str(one) for one in (was, value)))
    return table
