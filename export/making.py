"""A release from a choice of data and options: find or make the training, then export it."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from export.choice import Choice
from export.errors import TrainingUnusable
from export.tracking import NOT_TRACKED, Tracking, registered_line

if TYPE_CHECKING:
    from export.graphs import GraphWorkers
    from training.checkpoint import Trained
    from training.data.dataset import Dataset
    from training.fit.loop import Curve


@dataclass(frozen=True, slots=True)
class Workshop:
    """Where releases are made, and which of them stay."""

    repository: Path
    home: Path
    keep: int
    """Releases that stay in the repository, the new one among them."""
    console: Console
    """Shows progress."""
    tracking: Tracking = NOT_TRACKED


def make_release(choice: Choice, workshop: Workshop, max_loss_ratio: float | None) -> int:
    """Train, or find the training, and export; the number of the release.

    max_loss_ratio: share of the current comparable release's quality that may be lost; None = any.
    Raises: ExportError and its kinds, DataError.
    """
    console = workshop.console
    console.print(f"Making a release for [bold]{choice.data}[/]; the first time takes some minutes")
    import structlog

    from export.graphs import GraphWorkers
    from training.checkpoint import CheckpointFormatError, checkpoint_folder
    from training.data.dataset import read_dataset
    from training.data.location import locate_data
    from training.tracking.registry import register_release
    from training.tracking.runs import train_tracked

    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    store, train_options = workshop.tracking.store(workshop.home), choice.train_options()
    dataset = read_dataset(locate_data(choice.data, workshop.home))
    for table in dataset.report.tables:
        if table.dropped:
            console.print(str(table), markup=False)
    with GraphWorkers() as graphs:

        def on_epoch(fit: str, network: str, curve: Curve) -> None:
            if fit == "release":  # by now a core has time for what the export will import
                graphs.warm_up()

        written_down = store if workshop.tracking.wanted else None
        try:
            trained = train_tracked(dataset, workshop.home, train_options, written_down, on_epoch=on_epoch)
        except CheckpointFormatError as error:
            raise TrainingUnusable(error) from error
        number = _export(trained, dataset, choice, workshop, max_loss_ratio, graphs)
    checkpoint = checkpoint_folder(dataset, workshop.home, train_options)
    if store and (version := register_release(store, checkpoint, dataset.name, workshop.repository, number)):
        console.print(registered_line(dataset.name, version))
    return number


def _export(
    trained: Trained, dataset: Dataset, choice: Choice, workshop: Workshop, max_loss_ratio: float | None,
    graphs: GraphWorkers,
) -> int:  # fmt: skip
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    from export.build import PublishOptions, export_release

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=workshop.console) as progress:
        task = progress.add_task("Exporting")

        def on_model(model: str, done: int, total: int) -> None:
            progress.update(task, description=f"Exporting {model}", completed=done, total=total)

        options = PublishOptions(
            workshop.keep, choice.seed, choice.precision, max_loss_ratio, on_model, choice.released_index
        )
        number = export_release(trained, dataset, workshop.repository, options, graphs)
        progress.update(task, description=f"Exported release {number}", completed=progress.tasks[task].total)
    return number
