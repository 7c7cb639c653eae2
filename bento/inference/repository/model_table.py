"""The table of models: which versions are served now, and the state of the others.

Used on the server's loop only. A new version takes over in one assignment; the old one finishes what it accepted.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

from bento.inference.core.errors import (
    InvalidRequest,
    ModelNotReady,
    Unavailable,
    UnknownModel,
    UnknownModelVersion,
)
from bento.inference.models.response_cache import ResponseCache
from bento.inference.models.served_model import ServedModel
from bento.inference.repository.preparation import PreparedModel


class State(Enum):
    """State of a model version, as the repository index names it."""

    LOADING = "LOADING"
    READY = "READY"
    UNLOADING = "UNLOADING"
    UNAVAILABLE = "UNAVAILABLE"


UNLOADED = "unloaded"
"""Reason of versions that were unloaded on request: they do not count against readiness."""


@dataclass(slots=True)
class VersionRecord:
    """What is known of one model version."""

    state: State
    reason: str = ""
    model: ServedModel | None = None
    backend_missing: bool = False
    """It cannot be served here because of what is not installed or not there, and the server may do without."""


@dataclass(slots=True)
class ModelRecord:
    """What is known of one model."""

    versions: dict[int, VersionRecord] = field(default_factory=dict)
    wanted: PreparedModel | None = None
    """What is served, or would be if the parts of the ensemble were there; None when it was unloaded."""
    asked_for: bool = False
    """Loaded for its own sake, not only as a part of an ensemble."""
    failure: str = ""
    """What went wrong when it was last loaded."""
    polled: object = None
    """Fingerprint of the folder when polling last tried to load it, whether or not that went well."""

    @property
    def is_served(self) -> bool:
        """Whether a version is ready."""
        return any(entry.state is State.READY for entry in self.versions.values())


class ModelTable:
    """Loaded models by name and version."""

    def __init__(self, cache: ResponseCache | None) -> None:
        self.cache = cache
        self.is_closing = False
        """The server goes down: nothing is served any more."""
        self.records: dict[str, ModelRecord] = {}
        self._ready: dict[tuple[str, str], ServedModel] = {}  # version "" is the highest
        self._retiring: set[asyncio.Task[None]] = set()

    def record(self, name: str) -> ModelRecord:
        """The record of a model, new when there is none."""
        return self.records.setdefault(name, ModelRecord())

    def get(self, name: str, version: str = "") -> ServedModel:
        """A model version that is ready; version "" is the highest one.

        Raises: UnknownModel, UnknownModelVersion, ModelNotReady, InvalidRequest.
        """
        return self._ready.get((name, version)) or self._look_closer(name, version)

    def ready_models(self, name: str = "", version: str = "") -> list[ServedModel]:
        """Ready versions of one model (all models when empty), by name, then version.

        Raises: InvalidRequest when there is none.
        """
        found = [
            entry.model
            for model_name, record in sorted(self.records.items())
            for _, entry in sorted(record.versions.items())
            if entry.model is not None and name in ("", model_name)
        ]
        if name and not found:
            raise InvalidRequest(f"requested model '{name}' is not available")
        chosen = [model for model in found if version in ("", "-1", model.version)]
        if version and not chosen:
            raise InvalidRequest(f"requested model version is not available for model '{name}'")
        return chosen

    def all_ready(self) -> bool:
        """Whether every version that was to be loaded is ready, apart from those that were unloaded on request."""
        return all(
            entry.state is State.READY or entry.reason == UNLOADED or entry.backend_missing
            for record in self.records.values()
            for entry in record.versions.values()
        )

    def is_served(self, name: str) -> bool:
        """Whether any version of a model is ready."""
        return (name, "") in self._ready

    def failure_of(self, name: str) -> str:
        """What went wrong when a model was last loaded; empty when nothing did."""
        record = self.records.get(name)
        return record.failure if record is not None else ""

    def index(self, found: dict[str, list[Path]], *, ready_only: bool) -> list[dict[str, str]]:
        """Rows of the v2 repository index. `found`: model folders on disk by name."""
        rows: list[dict[str, str]] = []
        for name in sorted({*found, *(name for name, record in self.records.items() if record.versions)}):
            record = self.records.get(name)
            if len(found.get(name, ())) > 1:
                reason = "model appears in two or more repositories"
                rows.append({"name": name, "state": State.UNAVAILABLE.value, "reason": reason})
            elif record is None or not record.versions:
                rows.extend([] if ready_only else [{"name": name}])
            else:
                rows.extend(_rows_of(name, record, ready_only=ready_only))
        return rows

    def serve(self, name: str, loaded: dict[int, ServedModel], wanted: PreparedModel | None) -> None:
        """From now on serve these versions of a model, and no others; retire the old ones."""
        record = self.records[name]
        old = {version: entry.model for version, entry in record.versions.items() if entry.model is not None}
        for version in old.keys() - loaded.keys():
            record.versions[version] = VersionRecord(State.UNLOADING, UNLOADED)
        for version, model in loaded.items():
            record.versions[version] = VersionRecord(State.READY, "", model)
        ready = {key: model for key, model in self._ready.items() if key[0] != name}
        for version, model in loaded.items():
            ready[name, str(version)] = model
        if loaded:
            ready[name, ""] = ready[name, "-1"] = loaded[max(loaded)]
            record.failure = ""
        self._ready = ready
        folder = record.wanted.own_folder if record.wanted is not None else None
        folder_in_use = wanted.own_folder if wanted is not None else None
        record.wanted = wanted
        self._retire_soon(record, old, folder if folder != folder_in_use else None)

    def take_down(self, name: str) -> None:
        """Stop serving a model for good."""
        self.serve(name, {}, None)
        self.records[name].asked_for = False

    def leave_out(self, name: str, version: int, reason: str) -> None:
        """Note a model that is not loaded: the index gives the reason, and readiness does not wait for it."""
        record = self.record(name)
        record.failure = reason
        record.versions[version] = VersionRecord(State.UNAVAILABLE, reason, backend_missing=True)

    def suspend(self, name: str) -> None:
        """Stop serving an ensemble until its parts are there again."""
        self.serve(name, {}, self.records[name].wanted)

    async def retired(self) -> None:
        """Wait until all models that were taken out of service have finished and are freed."""
        while self._retiring:
            await asyncio.gather(*self._retiring)

    def _retire_soon(self, record: ModelRecord, models: dict[int, ServedModel], folder: Path | None) -> None:
        if not models and folder is None:
            return
        task = asyncio.create_task(_retire(record, models, folder))
        self._retiring.add(task)
        task.add_done_callback(self._retiring.discard)

    def _look_closer(self, name: str, version: str) -> ServedModel:
        """What `get` raises, but for a version that is written in another way ("01")."""
        if self.is_closing:
            raise Unavailable("Server exiting")
        record = self.records.get(name)
        if record is None or not record.versions:
            raise UnknownModel(name)
        if version in ("", "-1"):
            raise UnknownModel(name, "has no available versions")
        try:
            number = int(version)
        except ValueError:
            raise InvalidRequest(
                f"failed to get model version from specified version string '{version}' (details: stoll), version "
                "should be an integral value > 0"
            ) from None
        entry = record.versions.get(number)
        if entry is None:
            raise UnknownModelVersion(name, str(number))
        if entry.model is None:
            raise ModelNotReady(name, str(number))
        return entry.model


def _rows_of(name: str, record: ModelRecord, *, ready_only: bool) -> Iterable[dict[str, str]]:
    for version, entry in sorted(record.versions.items()):
        if entry.state is State.READY or not ready_only:
            row = {"name": name, "version": str(version), "state": entry.state.value}
            has_reason = entry.state is State.UNAVAILABLE and entry.reason
            yield {**row, "reason": entry.reason} if has_reason else row


async def _retire(record: ModelRecord, models: dict[int, ServedModel], folder: Path | None) -> None:
    """Let models finish what they accepted, free them, and remove the files that only they needed."""
    for version, model in models.items():
        await model.close()
        if record.versions[version].state is State.UNLOADING:
            record.versions[version] = VersionRecord(State.UNAVAILABLE, UNLOADED)
    if folder is not None:
        await asyncio.to_thread(shutil.rmtree, folder)
