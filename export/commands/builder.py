"""Builds a release as the command line asks for it: finds or makes the training, then exports it."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from export.commands.release_options import ReleaseOptions
from export.commands.tracking import NOT_TRACKED, Tracking, registered_line
from export.errors import TrainingUnusable

if TYPE_CHECKING:
    from export.graphs.writers import GraphWorkers
    from training.checkpoint import Checkpoint
    from training.data.dataset import Dataset
    from training.fit.loop import Curve


@dataclass(frozen=True, slots=True)
class ReleaseBuilder:
    """Builds releases for one repository."""

    repository: Path
    home: Path
    keep: int
    """Releases that stay in the repository, the new one among them."""
    console: Console
    """Shows progress."""
    tracking: Tracking = NOT_TRACKED

    def build(self, options: ReleaseOptions, max_loss_ratio: float | None) -> int:
        """Train, or find the training, and export; the number of the release.

        max_loss_ratio: share of the current comparable release's quality that may be lost; None = any.
        Raises: ExportError and its kinds, DataError.
        """
        console = self.console
        console.print(f"Making a release for [bold]{options.data}[/]; the first time takes some minutes")
        import structlog

        from export.graphs.writers import GraphWorkers
        from training.checkpoint import CheckpointFormatError, checkpoint_folder
        from training.commands.options import print_reading
        from training.data.dataset import read_dataset
        from training.data.location import locate_data
        from training.tracking.registry import register_release
        from training.tracking.runs import train_tracked

        structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
        store, train_options = self.tracking.store(self.home), options.train_options()
        dataset = read_dataset(locate_data(options.data, self.home))
        print_reading(dataset, console)
        for table in dataset.report.tables:
            if table.dropped:
                console.print(str(table), markup=False)
        with GraphWorkers() as graphs:

            def on_epoch(fit: str, network: str, curve: Curve) -> None:
                if fit == "release":  # by now a core has time for what the export will import
                    graphs.warm_up()

            written_down = store if self.tracking.wanted else None
            try:
                trained = train_tracked(dataset, self.home, train_options, written_down, on_epoch=on_epoch)
            except CheckpointFormatError as error:
                raise TrainingUnusable(error) from error
            number = self._export(trained, dataset, options, max_loss_ratio, graphs)
        checkpoint = checkpoint_folder(dataset, self.home, train_options)
        if store and (version := register_release(store, checkpoint, dataset.name, self.repository, number)):
            console.print(registered_line(dataset.name, version))
        return number

    def _export(
        self,
        trained: Checkpoint,
        dataset: Dataset,
        options: ReleaseOptions,
        max_loss_ratio: float | None,
        graphs: GraphWorkers,
    ) -> int:
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

        from export.release.build import PublishOptions, export_release

        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        with Progress(*columns, console=self.console) as progress:
            task = progress.add_task("Exporting")

            def on_model(model: str, done: int, total: int) -> None:
                progress.update(task, description=f"Exporting {model}", completed=done, total=total)

            publishing = PublishOptions(
                self.keep, options.seed, options.precision, max_loss_ratio, on_model, options.released_index
            )
            number = export_release(trained, dataset, self.repository, publishing, graphs)
            progress.update(task, description=f"Exported release {number}", completed=progress.tasks[task].total)
        return number
