"""Trainings written down in MLflow: options, data, curves, metrics, model files, and which one is served.

MLflow is optional (the extra `lab`). Without it nothing is written down and everything else works. What goes wrong
with the store while a training runs ends the writing, never the training.
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

from training.checkpoint import FACTS_FILE, Trained, checkpoint_folder
from training.data.dataset import Dataset
from training.fit.loop import Curve
from training.fit.runtime import Running
from training.options import TrainOptions
from training.train import OnEpoch, train

log = structlog.get_logger()

EXPERIMENT = "marquee"
SERVED = "served"
"""Alias of the registered model's version that servers start with."""

RUN_FILE = "tracking.json"
"""Beside a checkpoint: the run that it was written down as."""

MODEL_FILES = ("encoders", "item_vectors.npz", "popularity.npy", "catalog.json", FACTS_FILE)
"""Of a checkpoint, kept with the run. Content vectors are left out: they are large, and made anew from the data."""

LONGEST_PARAMETER = 500
PARAMETERS_AT_ONCE = 100
"""Limits of MLflow's interface."""


def available() -> bool:
    """Whether MLflow and what it needs for SQLite are installed."""
    return all(importlib.util.find_spec(name) for name in ("mlflow", "sqlalchemy", "alembic"))


@dataclass(frozen=True)
class Store:
    """Where trainings are written down."""

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
        """The same, but None when MLflow is not installed or nothing was ever written to the file below `home`."""
        return cls.of(uri, home) if available() and (uri or (home / "mlflow.db").exists()) else None

    def client(self) -> Any:
        """MLflow's client; takes seconds the first time."""
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # read when mlflow is imported
        from mlflow import MlflowClient

        logging.getLogger("mlflow").setLevel(logging.WARNING)
        return MlflowClient(tracking_uri=self.uri, registry_uri=self.uri)

    def experiment_id(self, client: Any) -> str:
        """Marquee's experiment, made if need be."""
        found = client.get_experiment_by_name(EXPERIMENT)
        if found:
            return str(found.experiment_id)
        where = self.artifacts.as_uri() if self.artifacts else None
        return str(client.create_experiment(EXPERIMENT, artifact_location=where))


class Run:
    """One training on its way into the store."""

    def __init__(self, client: Any, run_id: str) -> None:
        self.client, self.run_id = client, run_id
        self._lock = Lock()  # networks train in threads
        self._broken = False

    def parameters(self, values: Mapping[str, Any]) -> None:
        """Write down what the training was told, nested names joined by dots."""
        from mlflow.entities import Param

        pairs = [Param(name, str(value)[:LONGEST_PARAMETER]) for name, value in flat(values)]
        for start in range(0, len(pairs), PARAMETERS_AT_ONCE):
            self._write(params=pairs[start : start + PARAMETERS_AT_ONCE])

    def epoch(self, fit: str, network: str, curve: Curve) -> None:
        """Write down the newest epoch of a network; fit is "trial" or "release"."""
        values = {f"{fit}/{network}/loss": curve.losses[-1]}
        if curve.scores:
            values[f"{fit}/{network}/ndcg@10"] = curve.scores[-1]
        self.numbers(values, step=len(curve.losses))

    def numbers(self, values: Mapping[str, float], step: int = 0) -> None:
        """Write down metrics by name."""
        from mlflow.entities import Metric

        now_ms = int(time() * 1000)
        self._write(metrics=[Metric(metric_name(name), value, now_ms, step) for name, value in values.items()])

    def files(self, folder: Path) -> None:
        """Keep the model files of a checkpoint."""
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
    dataset: Dataset, home: Path, options: TrainOptions, store: Store | None, running: Running | None = None,
    on_epoch: OnEpoch = lambda fit, network, curve: None,
) -> Trained:  # fmt: skip
    """`train`, written down in the store when there is one. What was written down before is not written twice."""
    folder = checkpoint_folder(dataset, home, options)
    if store is None or run_of(folder, store) is not None:
        return train(dataset, home, options, on_epoch, running)
    with _run(store, dataset, options) as run:

        def also_written(fit: str, network: str, curve: Curve) -> None:
            run.epoch(fit, network, curve)
            on_epoch(fit, network, curve)

        trained = train(dataset, home, options, also_written, running)
        for network, curve in trained.models.curves.items():
            run.numbers({f"{network}/best_epochs": curve.best_epochs})
        run.parameters({"data": asdict(trained.facts), "fusion": trained.fusion_weights})
        run.numbers(metrics_of(trained))
        run.files(folder)
    (folder / RUN_FILE).write_bytes(orjson.dumps({"uri": store.uri, "run_id": run.run_id}))
    return trained


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
    """The run that a checkpoint was written down as in this store, or None."""
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


def metrics_of(trained: Trained) -> dict[str, float]:
    """Every offline metric by "split/source/metric", standard errors beside the means."""
    values = {}
    for split, report in trained.metrics.items():
        for source, metrics in report["sources"].items():
            for metric, value in metrics.items():
                values[f"{split}/{source}/{metric}"] = value["mean"]
                values[f"{split}/{source}/{metric}_se"] = value["se"]
    return values


def metric_name(name: str) -> str:
    """A name that MLflow accepts: "ndcg@10" is "ndcg_at_10" there."""
    return name.replace("@", "_at_")
