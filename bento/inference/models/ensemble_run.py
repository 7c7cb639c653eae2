"""One request on its way through an ensemble: a step starts as soon as its inputs are there."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from tritonclient.grpc.model_config_pb2 import ModelEnsembling

from bento.inference.core.messages import InferRequest, RequestTiming, Tensor
from bento.inference.models.served_model import ServedModel


@dataclass(frozen=True, slots=True)
class Step:
    """One model of the ensemble and the ensemble tensors it is connected to."""

    model_name: str
    version: str
    inputs: dict[str, str]
    """Ensemble tensor by model input."""
    outputs: dict[str, str]
    """Ensemble tensor by model output."""


def step_of(step: ModelEnsembling.Step) -> Step:
    """The step that a configuration describes."""
    version = "" if step.model_version == -1 else str(step.model_version)
    return Step(step.model_name, version, dict(step.input_map), dict(step.output_map))


class DataflowRun:
    """The dataflow of one request."""

    def __init__(
        self,
        request: InferRequest,
        steps: list[tuple[Step, ServedModel]],
        tensors: dict[str, Tensor],
        absent: set[str],
        timing: RequestTiming,
    ) -> None:
        self._request = request
        self._waiting = steps
        self._tensors = tensors
        self._absent = absent
        self._timing = timing

    async def to_the_end(self) -> None:
        """Run steps until none is left whose inputs are there. The first error cancels what runs beside it."""
        running: set[asyncio.Task[None]] = set()
        try:
            while True:
                ready = self._take_ready()
                if len(ready) == 1 and not running:
                    await self._step(*ready[0])  # nothing to run beside it: spare the task
                    continue
                running |= {asyncio.ensure_future(self._step(step, model)) for step, model in ready}
                if not running:
                    return
                done, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
                errors = [error for task in done if (error := task.exception()) is not None]
                if errors:
                    raise errors[0]
        finally:
            for task in running:
                task.cancel()
            if running:
                await asyncio.gather(*running, return_exceptions=True)

    def _take_ready(self) -> list[tuple[Step, ServedModel]]:
        there = self._tensors.keys() | self._absent
        ready = [entry for entry in self._waiting if there.issuperset(entry[0].inputs.values())]
        if ready:
            self._waiting = [entry for entry in self._waiting if entry not in ready]
        return ready

    async def _step(self, step: Step, model: ServedModel) -> None:
        request = self._request
        tensors = self._tensors
        response = await model.infer(
            InferRequest(
                model_name=step.model_name,
                inputs={name: tensors[tensor] for name, tensor in step.inputs.items() if tensor in tensors},
                model_version=model.version,
                requested_outputs=tuple(step.outputs),
                id=request.id,
                parameters=request.parameters,
                priority=request.priority,
                timeout_us=request.timeout_us,
                deadline_ns=request.deadline_ns,
                sequence=request.sequence,
            )
        )
        for name, tensor in step.outputs.items():
            if name in response.outputs:
                tensors[tensor] = response.outputs[name]
            else:
                self._absent.add(tensor)
        timing, part = self._timing, response.timing
        timing.queue_ns += part.queue_ns
        timing.compute_input_ns += part.compute_input_ns
        timing.compute_infer_ns += part.compute_infer_ns
        timing.compute_output_ns += part.compute_output_ns
