"""Model control: load, reload, unload and poll, without losing a request.

Changes are made one at a time, on the server's loop; requests are answered meanwhile.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Coroutine, Iterable
from typing import Any, TypeVar

import structlog

from bento.inference.core.devices import cores
from bento.inference.core.errors import (
    BackendMissing,
    InferenceError,
    LoadFailed,
    RepositoryFailed,
    Unavailable,
    with_code,
)
from bento.inference.core.options import ServerOptions
from bento.inference.models.ensembles import PartMissing
from bento.inference.models.response_cache import ResponseCache
from bento.inference.models.served_model import ServedModel
from bento.inference.repository.config import composing_models
from bento.inference.repository.files import find_models, fingerprint
from bento.inference.repository.loading import load_version
from bento.inference.repository.model_table import UNLOADED, ModelTable, State, VersionRecord
from bento.inference.repository.preparation import LoadRequest, PreparedModel, Unreadable, prepare
from bento.inference.scheduling.completions import Completions

log = structlog.get_logger()

T = TypeVar("T")


class Repository:
    """Keeps a table of served models in step with what is asked for and with the disk."""

    def __init__(self, options: ServerOptions, completions: Completions) -> None:
        cache = ResponseCache(options.response_cache_bytes) if options.response_cache_bytes else None
        self.table = ModelTable(cache)
        self._options = options
        self._completions = completions
        self._changing = asyncio.Lock()
        self._changes: set[asyncio.Task[Any]] = set()
        self._loading_slots = asyncio.Semaphore(max(2, cores()))
        self._poller: asyncio.Task[None] | None = None

    def index(self, *, ready_only: bool) -> list[dict[str, str]]:
        """Rows of the v2 repository index."""
        return self.table.index(find_models(self._options.repositories), ready_only=ready_only)

    async def start(self) -> None:
        """Load what the control mode asks for. Raises: RepositoryFailed with exit_on_error."""
        options = self._options
        names: Iterable[str] = find_models(options.repositories)
        if options.model_control_mode == "explicit" and "*" not in options.load_models:
            names = options.load_models
        for name, reason in options.left_out.items():
            self.table.leave_out(name, options.release or 1, reason)
        async with self._changing:
            failures = await self._load([LoadRequest(name) for name in names])
        if failures and options.exit_on_error:
            details = "\n".join(f"{name}: {getattr(error, 'cause', error)}" for name, error in failures.items())
            raise RepositoryFailed(f"failed to load all models\n{details}")
        if options.model_control_mode == "poll":
            self._poller = asyncio.create_task(self._poll_for_ever())

    async def load(self, request: LoadRequest) -> None:
        """Load or reload a model, and the models that it is composed of.

        Raises: LoadFailed (what was served before still is), RepositoryFailed, Unavailable.
        """
        self._check_explicit()
        failures = await self._to_the_end(self._load([request]))
        if any(isinstance(failure, Unreadable) for failure in failures.values()):
            raise Unreadable(request.name, "the model or a part of it cannot be read")
        failure = failures.get(request.name)
        if failure is not None:
            raise LoadFailed(f"load failed for model '{request.name}': {failure}\n") from failure

    async def unload(self, name: str, unload_dependents: bool) -> None:
        """Stop serving a model; with `unload_dependents` also the parts that only this ensemble needed.

        A model that is not loaded is ignored. Raises: Unavailable.
        """
        self._check_explicit()
        await self._to_the_end(self._unload(name, unload_dependents))

    async def poll(self) -> None:
        """Load what is new or changed on disk, unload what is gone."""
        found = await asyncio.to_thread(find_models, self._options.repositories)
        async with self._changing:
            for name, record in self.table.records.items():
                if name not in found and record.wanted is not None:
                    self.table.take_down(name)
                    record.polled = None
            changed = []
            for name, folders in found.items():
                record = self.table.record(name)
                now = await asyncio.to_thread(fingerprint, folders[0])
                if record.polled != now:
                    record.polled = now
                    changed.append(LoadRequest(name))
            await self._load(changed)

    async def close(self) -> None:
        """Unload everything, letting requests in flight finish; they have `shutdown_timeout_s`."""
        self.table.is_closing = True
        if self._poller is not None:
            self._poller.cancel()
            await asyncio.gather(self._poller, return_exceptions=True)
        async with self._changing:
            for name in self.table.records:
                self.table.take_down(name)
        try:
            await asyncio.wait_for(self.table.retired(), self._options.shutdown_timeout_s)
        except TimeoutError:
            log.error("requests are still in progress, closing without them", waited_s=self._options.shutdown_timeout_s)

    def _check_explicit(self) -> None:
        if self._options.model_control_mode != "explicit":
            raise Unavailable("explicit model load / unload is not allowed if polling is enabled")

    async def _poll_for_ever(self) -> None:
        while True:
            await asyncio.sleep(self._options.repository_poll_secs)
            try:
                await self.poll()
            except OSError as error:  # the folder is missing for a moment: served models stay
                log.error("repository cannot be polled, next time perhaps", error=str(error))

    async def _to_the_end(self, change: Coroutine[Any, Any, T]) -> T:
        """Make one change, after those before it. It is completed when the client that asked for it leaves.

        Half of a change would leave models that are neither served nor free.
        """

        async def alone() -> T:
            async with self._changing:
                return await change

        task = asyncio.create_task(alone())
        self._changes.add(task)
        task.add_done_callback(self._changes.discard)
        return await asyncio.shield(task)

    async def _unload(self, name: str, unload_dependents: bool) -> None:
        record = self.table.records.get(name)
        if record is None:
            return
        parts = composing_models(record.wanted.config) if record.wanted is not None else set()
        self.table.take_down(name)
        if unload_dependents:
            for part in sorted(parts):
                if not self.table.records[part].asked_for and not self._ensembles_over({part}):
                    self.table.take_down(part)
        await self._reload_ensembles({name}, done=set())

    async def _load(self, requests: list[LoadRequest]) -> dict[str, InferenceError]:
        """Load models and the parts of ensembles among them, parts first. Returns what went wrong, by model."""
        prepared, failures = await self._prepare_all(requests)
        for name, error in self._circular(prepared).items():
            await self._give_up(prepared.pop(name), {})
            failures[name] = error
        for request in requests:
            if request.name in prepared:
                self.table.record(request.name).asked_for = True
        changed = {name for name, model in prepared.items() if self._is_news(model)}
        ensembles = {name for name, model in prepared.items() if composing_models(model.config)}
        results = await asyncio.gather(*(self._load_model(prepared[name]) for name in sorted(changed - ensembles)))
        failures |= {name: error for name, error in results if error is not None}
        for name in _parts_first(ensembles, prepared):
            if name in changed or composing_models(prepared[name].config) & changed:
                _, failure = await self._load_ensemble(prepared[name])
                if failure is not None:
                    failures[name] = failure
        await self._reload_ensembles(changed, done=ensembles)
        return failures

    async def _prepare_all(
        self, requests: list[LoadRequest]
    ) -> tuple[dict[str, PreparedModel], dict[str, InferenceError]]:
        """Read models, and the parts of ensembles as they turn up."""
        prepared: dict[str, PreparedModel] = {}
        failures: dict[str, InferenceError] = {}
        waiting = {request.name: request for request in requests}
        while waiting:
            name, request = waiting.popitem()
            try:
                prepared[name] = await asyncio.to_thread(prepare, request, self._options)
            except Unreadable as error:
                log.error("model cannot be read", model=name, error=error.cause)
                failures[name] = error
                continue
            for part in composing_models(prepared[name].config) - prepared.keys() - failures.keys():
                waiting.setdefault(part, LoadRequest(part))
        return prepared, failures

    def _is_news(self, model: PreparedModel) -> bool:
        """Whether this differs from what is served."""
        record = self.table.record(model.name)
        if record.wanted is None or not record.is_served:
            return True
        return model.is_override or record.wanted.is_override or record.wanted.fingerprint != model.fingerprint

    async def _load_model(self, prepared: PreparedModel) -> tuple[str, InferenceError | None]:
        """Load all versions of one model and serve them instead of the old ones, or change nothing."""
        name = prepared.name
        record = self.table.record(name)
        loaded: dict[int, ServedModel] = {}
        problems = []
        part_missing: PartMissing | None = None
        if not prepared.versions:
            problems.append(f"at least one version must be available under the version policy of model '{name}'")
        async with self._loading_slots:
            for version in prepared.versions:
                was_ready = version in record.versions and record.versions[version].state is State.READY
                if not was_ready:
                    record.versions[version] = VersionRecord(State.LOADING)
                try:
                    loaded[version] = await load_version(
                        prepared, version, self._options, self._completions, self.table
                    )
                except PartMissing as error:
                    log.error("ensemble lacks a part", model=name, version=version, error=str(error))
                    part_missing = error
                    problems.append(str(error))
                except InferenceError as error:
                    log.error("model failed to load", model=name, version=version, error=str(error))
                    problems.append(f"version {version} is at UNAVAILABLE state: {with_code(error)};")
                    if not was_ready:
                        missing = isinstance(error, BackendMissing)
                        record.versions[version] = VersionRecord(State.UNAVAILABLE, with_code(error), None, missing)
            if problems:
                await self._give_up(prepared, loaded)
                record.failure = "".join(problems)
                failure = LoadFailed(record.failure)
                failure.__cause__ = part_missing
                return name, failure
        self.table.serve(name, loaded, prepared)
        log.info("model is ready", model=name, versions=list(loaded), device=loaded[max(loaded)].device)
        return name, None

    async def _load_ensemble(self, prepared: PreparedModel) -> tuple[str, InferenceError | None]:
        """Load an ensemble. Unlike a model, it is not served any more when it no longer fits its parts."""
        record = self.table.record(prepared.name)
        before = dict(record.versions)
        name, failure = await self._load_model(prepared)
        if failure is not None and isinstance(failure.__cause__, PartMissing):
            record.versions = before
        if failure is not None and record.is_served:
            self.table.suspend(name)
        return name, failure

    async def _give_up(self, prepared: PreparedModel, loaded: dict[int, ServedModel]) -> None:
        """Undo a load of which one version failed."""
        record = self.table.record(prepared.name)
        for version, model in loaded.items():
            await model.close()
            if record.versions[version].state is State.LOADING:
                record.versions[version] = VersionRecord(State.UNAVAILABLE, UNLOADED)
        folder_in_use = record.wanted.own_folder if record.wanted is not None else None
        if prepared.own_folder is not None and prepared.own_folder != folder_in_use:
            await asyncio.to_thread(shutil.rmtree, prepared.own_folder)

    async def _reload_ensembles(self, changed: set[str], done: set[str]) -> None:
        """Look again at ensembles over changed models: some no longer fit, others are complete again."""
        for name in sorted(self._ensembles_over(changed) - done):
            wanted = self.table.records[name].wanted
            assert wanted is not None
            await self._load_ensemble(wanted)
            await self._reload_ensembles({name}, done | {name})

    def _circular(self, prepared: dict[str, PreparedModel]) -> dict[str, InferenceError]:
        """What is wrong with ensembles that would be a part of themselves, among those that are served."""
        wanted = {name: record.wanted for name, record in self.table.records.items() if record.wanted is not None}
        parts_of = {name: composing_models(model.config) for name, model in {**wanted, **prepared}.items()}
        circular: dict[str, InferenceError] = {}
        for name in prepared:
            waiting, seen = [name], set[str]()
            while waiting:
                inside = waiting.pop()
                parts = parts_of.get(inside, set())
                if name in parts:
                    way = f"{name} -> ... -> {inside} -> {name}"
                    circular[name] = LoadFailed(f"circular dependency between ensembles: {way}")
                    break
                waiting += parts - seen
                seen |= parts
        return circular

    def _ensembles_over(self, parts: set[str]) -> set[str]:
        """Wanted ensembles that contain one of these models."""
        return {
            name
            for name, record in self.table.records.items()
            if record.wanted is not None and composing_models(record.wanted.config) & parts
        }


def _parts_first(ensembles: set[str], prepared: dict[str, PreparedModel]) -> list[str]:
    """Ensembles in an order in which each comes after the ensembles it contains; those in a cycle in any order."""
    ordered: list[str] = []

    def visit(name: str, above: frozenset[str]) -> None:
        if name in ordered or name in above or name not in ensembles:
            return
        for part in sorted(composing_models(prepared[name].config)):
            visit(part, above | {name})
        ordered.append(name)

    for name in sorted(ensembles):
        visit(name, frozenset())
    return ordered
