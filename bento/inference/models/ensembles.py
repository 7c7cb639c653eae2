"""Ensembles: models that are a dataflow over other models.

A step starts as soon as its inputs are there, so that steps which do not need each other run at the same time;
steps that no requested output depends on do not run at all. Everything happens on the server's loop.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Protocol

from tritonclient.grpc.model_config_pb2 import ModelConfig

from bento.inference.core.calls import Lease
from bento.inference.core.errors import InferenceError, LoadFailed, in_ensemble
from bento.inference.core.messages import InferRequest, InferResponse, Parameters, RequestTiming, Tensor
from bento.inference.models.contract import Contract
from bento.inference.models.ensemble_run import DataflowRun, Step, step_of
from bento.inference.models.ensemble_validation import validate_tensor_mappings
from bento.inference.models.prepared_requests import PreparedRequests, WireForm
from bento.inference.models.response_cache import ResponseCache, cache_key
from bento.inference.models.served_model import ServedModel
from bento.inference.models.statistics import ModelStatistics


class ModelTable(Protocol):
    """Where an ensemble finds its models."""

    cache: ResponseCache | None

    def get(self, name: str, version: str = "") -> ServedModel:
        """A ready model version. Raises: InferenceError."""

    def is_served(self, name: str) -> bool:
        """Whether any version of the model is ready."""

    def failure_of(self, name: str) -> str:
        """What went wrong when the model was last loaded; empty when nothing did."""


class PartMissing(LoadFailed):
    """A model of the ensemble is not loaded, or does not fit."""


class Ensemble:
    """One version of an ensemble. Its models are looked up for each request, all before the first step runs."""

    def __init__(
        self, config: ModelConfig, version: int, labels: dict[str, list[str]], table: ModelTable, *, release: int | None
    ) -> None:
        """`release`: composing models without a version of their own are of this version, where they have it.

        Raises: LoadFailed when the steps do not fit together or a composing model is not loaded.
        """
        self.name = config.name
        self.version = str(version)
        self.config = config
        self.statistics = ModelStatistics()
        self.labels = labels
        self.is_decoupled = False
        self._contract = Contract(config)
        self._table = table
        self._release = "" if release is None else str(release)
        self._steps = [step_of(step) for step in config.ensemble_scheduling.step]
        self._cache = table.cache if config.response_cache.enable else None
        self._cache_owner = f"{self.name}\0{id(self)}\0".encode()
        self.lease = Lease()
        self.prepared_requests = PreparedRequests()  # none: parts may be reloaded at any time
        config.model_transaction_policy.decoupled = False
        models = [self._find_part(step) for step in self._steps]
        try:
            validate_tensor_mappings(config, [model.config for model in models])
        except LoadFailed as error:
            raise PartMissing(str(error)) from error
        for step, model in zip(self._steps, models, strict=True):
            if model.is_decoupled:
                raise LoadFailed(f"ensemble '{self.name}' contains the decoupled model '{model.name}': not supported")
            for output, tensor in step.outputs.items():
                if output in model.labels:
                    self.labels.setdefault(tensor, model.labels[output])

    @property
    def device(self) -> str:
        """Devices of its models."""
        devices = [self._find(step).device for step in self._steps]
        return ",".join(dict.fromkeys(",".join(devices).split(",")))

    @property
    def waiting_count(self) -> int:
        """Always 0: what waits, waits for its models."""
        return 0

    def check(self, request: InferRequest) -> int:
        """Rows of the request. Raises: InvalidRequest."""
        return self._contract.check(request)

    def infer_now(self, request: InferRequest) -> InferResponse | None:
        """Always None: its models may be slow."""
        return None

    def prepare_request(self, request: InferRequest, response: InferResponse, wire: WireForm) -> None:
        """Never called: `infer_now` answers nothing."""

    async def infer(self, request: InferRequest) -> InferResponse:
        """Answer a request. Raises: InferenceError; cancellation reaches every step that runs or waits."""
        started_ns = time.monotonic_ns()
        rows = self._contract.check(request)
        key = cache_key(self._cache_owner, request) if self._cache is not None else b""
        if self._cache is not None:
            outputs = self._cache.get(key)
            if outputs is not None:
                now_ns = time.monotonic_ns()
                self.statistics.add_cache_hit(now_ns - started_ns, now_ns - started_ns)
                return self._response(request, outputs, RequestTiming())
        with self.lease:
            try:
                outputs, timing = await self._run(request, rows)
            except InferenceError as error:
                self.statistics.add_failure(time.monotonic_ns() - started_ns, "OTHER")
                raise in_ensemble(error, self.name) from error
            except asyncio.CancelledError:
                self.statistics.add_failure(time.monotonic_ns() - started_ns, "CANCELED")
                raise
        total_ns = time.monotonic_ns() - started_ns
        own_timing = replace(timing, queue_ns=0)  # what waited, waited for its models: Triton does not count it here
        self.statistics.add_success(total_ns, own_timing, max(rows, 1))
        self.statistics.add_execution(
            max(rows, 1), timing.compute_input_ns, timing.compute_infer_ns, timing.compute_output_ns
        )
        outputs = self._contract.client_outputs(outputs, request.requested_outputs)
        if self._cache is not None:
            self._cache.put(key, outputs)
            self.statistics.cache_miss.add(0)
        return self._response(request, outputs, timing)

    async def stream(self, request: InferRequest) -> AsyncIterator[InferResponse]:
        """The one response."""
        yield await self.infer(request)

    async def close(self) -> None:
        """Wait for the requests in progress."""
        await self.lease.ended()
        if self._cache is not None:
            self._cache.forget(self._cache_owner)

    def _response(self, request: InferRequest, outputs: dict[str, Tensor], timing: RequestTiming) -> InferResponse:
        if not outputs:  # the parameters are those of the model that wrote one
            return InferResponse(self.name, self.version, request.id, outputs, {}, timing)
        sequence = request.sequence
        parameters: Parameters = {
            "sequence_id": sequence.id if sequence else 0,
            "sequence_start": sequence.start if sequence else False,
            "sequence_end": sequence.end if sequence else False,
        }
        return InferResponse(self.name, self.version, request.id, outputs, parameters, timing)

    def _find(self, step: Step) -> ServedModel:
        if self._release and not step.version:
            try:
                return self._table.get(step.model_name, self._release)
            except InferenceError:  # not every model has every release
                return self._table.get(step.model_name)
        return self._table.get(step.model_name, step.version)

    def _find_part(self, step: Step) -> ServedModel:
        """The model of a step when the ensemble is loaded. Raises: PartMissing."""
        name = step.model_name
        depends = f"ensemble '{self.name}' depends on '{name}'"
        try:
            return self._find(step)
        except InferenceError as error:
            failure = self._table.failure_of(name)
            if step.version and self._table.is_served(name):
                message = f"{depends} whose required version {step.version} is not loaded."
            elif failure:
                message = f"{depends} which has no loaded version. Model '{name}' loading failed with error: {failure}"
            else:
                message = f"{depends} which has no loaded version."
            raise PartMissing(message) from error

    async def _run(self, request: InferRequest, rows: int) -> tuple[dict[str, Tensor], RequestTiming]:
        """Ensemble outputs, as far as the models gave them, and the composing models' times summed up."""
        wanted = set(request.requested_outputs or self._contract.outputs)
        steps = self._needed_steps(wanted)
        models = [self._find(step) for step in steps]
        tensors = dict(self._contract.model_inputs(request, rows))
        absent = {name for name in self._contract.inputs if name not in tensors}
        timing = RequestTiming()
        for model in models:
            model.lease.enter()
        try:
            run = DataflowRun(request, list(zip(steps, models, strict=True)), tensors, absent, timing)
            await run.to_the_end()
        finally:
            for model in models:
                model.lease.leave()
        there = wanted & tensors.keys()  # a model may leave outputs out
        return {name: tensors[name] for name in self._contract.outputs if name in there}, timing

    def _needed_steps(self, wanted: set[str]) -> list[Step]:
        if len(wanted) == len(self._contract.outputs):
            return self._steps
        needed, tensors = [], set(wanted)
        progress = True
        while progress:
            progress = False
            for step in self._steps:
                if step not in needed and tensors & set(step.outputs.values()):
                    needed.append(step)
                    tensors |= set(step.inputs.values())
                    progress = True
        return [step for step in self._steps if step in needed]
