"""Trainings recorded in MLflow: options, data, curves, metrics and model files.

MLflow is optional (the extra `lab`): without it nothing is recorded and everything else works. An error of the store
during a training ends the recording, never the training.
"""

from __future__ import annotations

import importlib.util
import logging
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from threading import Lock
from time import time
from typing import Any

import orjson
import structlog

from training.checkpoint import FACTS_FILE, Checkpoint, checkpoint_folder
from training.data.dataset import Dataset
from training.fit.loop import Curve
from training.fit.runtime import Runtime
from training.options import TrainOptions
from training.train import OnEpoch, train

log = structlog.get_logger()

EXPERIMENT = "marquee"
SERVED = "served"
"""Alias of the registered model's version that servers start with."""

RUN_FILE = "tracking.json"
"""Beside a checkpoint: the run that recorded it."""

MODEL_FILES = ("encoders", "item_vectors.npz", "popularity.npy", "catalog.json", FACTS_FILE)
"""Files of a checkpoint that are stored with the run. Content vectors are large and can be computed again."""

LONGEST_PARAMETER = 500
PARAMETERS_AT_ONCE = 100
"""Limits of MLflow's interface."""


def available() -> bool:
    """Whether MLflow and what it needs for SQLite are installed."""
    return all(importlib.util.find_spec(name) for name in ("mlflow", "sqlalchemy", "alembic"))


@dataclass(frozen=True)
class Store:
    """Where trainings are recorded."""

    uri: str
    artifacts: Path | None = None
    """Folder of the model files; None = where the tracking server puts them."""

    @classmethod
    def of(cls, uri: str | None, home: Path) -> Store:
        """The store of an address; without one a SQLite file below `home`."""
        if uri:
            return cls(uri)
        return cls(f"sqlite:///{(home / 'mlflow.db').resolve()}", (home / "mlflow-artifacts").resolve())

    @classmethod
    def existing(cls, uri: str | None, home: Path) -> Store | None:
        """As `of`, but None when MLflow is not installed or the file below `home` does not exist."""
        return cls.of(uri, home) if available() and (uri or (home / "mlflow.db").exists()) else None

    def client(self) -> Any:
        """MLflow's client; takes seconds the first time."""
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # read when mlflow is imported
        from mlflow import MlflowClient

        logging.getLogger("mlflow").setLevel(logging.WARNING)
        return MlflowClient(tracking_uri=self.uri, registry_uri=self.uri)

    def experiment_id(self, client: Any) -> str:
        """Marquee's experiment, created when missing."""
        found = client.get_experiment_by_name(EXPERIMENT)
        if found:
            return str(found.experiment_id)
        where = self.artifacts.as_uri() if self.artifacts else None
        return str(client.create_experiment(EXPERIMENT, artifact_location=where))


class Run:
    """The run of one training."""

    def __init__(self, client: Any, run_id: str) -> None:
        self.client, self.run_id = client, run_id
        self._lock = Lock()  # networks train in threads
        self._broken = False

    def parameters(self, values: Mapping[str, Any]) -> None:
        """Record the options, nested names joined by dots."""
        from mlflow.entities import Param

        pairs = [Param(name, str(value)[:LONGEST_PARAMETER]) for name, value in flat(values)]
        for start in range(0, len(pairs), PARAMETERS_AT_ONCE):
            self._write(params=pairs[start : start + PARAMETERS_AT_ONCE])

    def epoch(self, fit: str, network: str, curve: Curve) -> None:
        """Record the newest epoch of a network; fit is "trial" or "release"."""
        values = {f"{fit}/{network}/loss": curve.losses[-1]}
        if curve.scores:
            values[f"{fit}/{network}/ndcg@10"] = curve.scores[-1]
        self.numbers(values, step=len(curve.losses))

    def numbers(self, values: Mapping[str, float], step: int = 0) -> None:
        """Record metrics by name."""
        from mlflow.entities import Metric

        now_ms = int(time() * 1000)
        self._write(metrics=[Metric(metric_name(name), value, now_ms, step) for name, value in values.items()])

    def files(self, folder: Path) -> None:
        """Store the model files of a checkpoint."""
        for name in MODEL_FILES:
            path = folder / name
            if path.is_dir():
                self._try(partial(self.client.log_artifacts, self.run_id, str(path), f"checkpoint/{path.name}"))
            elif path.exists():
                self._try(partial(self.client.log_artifact, self.run_id, str(path), "checkpoint"))

    def end(self, status: str) -> None:
        """Mark the run as FINISHED or FAILED."""
        self._try(partial(self.client.set_terminated, self.run_id, status))

    def _write(self, **batch: Any) -> None:
        self._try(partial(self.client.log_batch, self.run_id, **batch))

    def _try(self, call: Callable[[], object]) -> None:
        from mlflow.exceptions import MlflowException

        with self._lock:
            if self._broken:
                return
            try:
                call()
            except MlflowException as error:
                self._broken = True
                log.warning("tracking_failed", run=self.run_id, error=str(error), goes_on="without being written down")


def train_tracked(
    dataset: Dataset, home: Path, options: TrainOptions, store: Store | None, runtime: Runtime | None = None,
    on_epoch: OnEpoch = lambda fit, network, curve: None,
) -> Checkpoint:  # fmt: skip
    """`train`, recorded in the store when there is one; a training is recorded once."""
    folder = checkpoint_folder(dataset, home, options)
    if store is None or run_of(folder, store) is not None:
        return train(dataset, home, options, on_epoch, runtime)
    with _run(store, dataset, options) as run:

        def also_written(fit: str, network: str, curve: Curve) -> None:
            run.epoch(fit, network, curve)
            on_epoch(fit, network, curve)

        checkpoint = train(dataset, home, options, also_written, runtime)
        for network, curve in checkpoint.models.curves.items():
            run.numbers({f"{network}/best_epochs": curve.best_epochs})
        run.parameters({"data": asdict(checkpoint.facts), "fusion": checkpoint.fusion_weights})
        run.numbers(metrics_of(checkpoint))
        run.files(folder)
    (folder / RUN_FILE).write_bytes(orjson.dumps({"uri": store.uri, "run_id": run.run_id}))
    return checkpoint


@contextmanager
def _run(store: Store, dataset: Dataset, options: TrainOptions) -> Iterator[Run]:
    client = store.client()
    tags = {"data": dataset.name, "simulated": str(dataset.simulated), "options_hash": options.hash}
    created = client.create_run(store.experiment_id(client), run_name=f"{dataset.name}-{options.hash}", tags=tags)
    run = Run(client, created.info.run_id)
    run.parameters(asdict(options))
    try:
        yield run
    except BaseException:
        run.end("FAILED")
        raise
    run.end("FINISHED")


def run_of(folder: Path, store: Store) -> str | None:
    """The run that recorded a checkpoint in this store, or None."""
    path = folder / RUN_FILE
    written = orjson.loads(path.read_bytes()) if path.exists() else {}
    return written["run_id"] if written.get("uri") == store.uri else None


def flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Leaves of a nested mapping with their path: {"a": {"b": 1}} → ("a.b", 1)."""
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def metrics_of(checkpoint: Checkpoint) -> dict[str, float]:
    """Every offline metric by "split/source/metric", standard errors beside the means."""
    values = {}
    for split, report in checkpoint.metrics.items():
        for source, metrics in report["sources"].items():
            for metric, value in metrics.items():
                values[f"{split}/{source}/{metric}"] = value["mean"]
                values[f"{split}/{source}/{metric}_se"] = value["se"]
    return values


def metric_name(name: str) -> str:
    """A name that MLflow accepts: "ndcg@10" is "ndcg_at_10" there."""
    return name.replace("@", "_at_")
