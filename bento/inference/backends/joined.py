"""Runs several requests as one: joins their tensors, runs the model once, and cuts the answer apart.

For backends whose models are functions from tensors to tensors.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Protocol

import numpy as np
from tritonclient.grpc.model_config_pb2 import ModelConfig

from bento.inference.backends.interface import BoundRun, Call, ExecutionTimes
from bento.inference.backends.ragged import RaggedBatch
from bento.inference.core.errors import BackendFailed
from bento.inference.core.messages import Tensor


class TensorFunction(Protocol):
    """A model as a function from named tensors to named tensors."""

    device: str
    is_reentrant: bool
    """Any thread may run it at any time, also several at once."""

    def run(self, inputs: dict[str, Tensor], outputs: Sequence[str]) -> dict[str, Tensor]:
        """Compute the named outputs (all when empty). Raises: BackendFailed."""

    def close(self) -> None:
        """Free the model."""


class JoinedInstance:
    """A model instance over a tensor function."""

    def __init__(self, function: TensorFunction, config: ModelConfig) -> None:
        self.device = function.device
        self.is_reentrant = function.is_reentrant
        self._function = function
        self._states = tuple(state.output_name for state in config.sequence_batching.state)
        ragged = RaggedBatch(config)
        self._ragged = ragged if ragged.is_needed else None
        self._of_one = {} if config.max_batch_size else _shapes_of_one(config)
        self._gives_scalars = False

    def fixed(self, inputs: dict[str, Tensor], outputs: dict[str, Tensor]) -> BoundRun | None:
        """The function with memory for tensors like these, where it can have that."""
        make = getattr(self._function, "fixed", None)
        if make is None or self._ragged is not None or self._states or self._gives_scalars:
            return None
        fixed: BoundRun | None = make(inputs, outputs)
        return fixed

    def execute(self, calls: Sequence[Call]) -> ExecutionTimes:
        """Run the calls as one batch; when that fails, each by itself, so that a bad request fails alone."""
        if len(calls) == 1 and self._ragged is None:
            return self._execute_one(calls[0])
        try:
            return self._execute_joined(calls)
        except BackendFailed as error:
            inputs_ready_ns = time.monotonic_ns()
            if len(calls) == 1:
                calls[0].fail(error)
            else:
                for call in calls:
                    self.execute((call,))
            return ExecutionTimes(inputs_ready_ns, time.monotonic_ns())

    def _execute_one(self, call: Call) -> ExecutionTimes:
        inputs_ready_ns = time.monotonic_ns()
        try:
            outputs = self._function.run(call.inputs, self._wanted((call,)))
            call.answer(self._with_axes(outputs) if self._of_one else outputs)
        except BackendFailed as error:
            call.fail(error)
        return ExecutionTimes(inputs_ready_ns, time.monotonic_ns())

    def _execute_joined(self, calls: Sequence[Call]) -> ExecutionTimes:
        """Raises: BackendFailed."""
        ragged = self._ragged
        if ragged is None:
            inputs = {name: np.concatenate([call.inputs[name] for call in calls]) for name in calls[0].inputs}
        else:
            inputs = ragged.join(calls)
        inputs_ready_ns = time.monotonic_ns()
        outputs = self._function.run(inputs, self._wanted(calls))
        inferred_ns = time.monotonic_ns()
        if ragged is None:
            _cut_apart(calls, outputs)
        else:
            for call, part in zip(calls, ragged.cut_apart(calls, outputs), strict=True):
                call.answer(part)
        return ExecutionTimes(inputs_ready_ns, inferred_ns)

    def _with_axes(self, outputs: dict[str, Tensor]) -> dict[str, Tensor]:
        """Tensors without dimensions in the shape that the configuration has for them: the protocol knows none such."""
        scalars = {name: shape for name, shape in self._of_one.items() if name in outputs and not outputs[name].ndim}
        if not scalars:
            return outputs
        self._gives_scalars = True
        return {**outputs, **{name: outputs[name].reshape(shape) for name, shape in scalars.items()}}

    def _wanted(self, calls: Sequence[Call]) -> tuple[str, ...]:
        """Outputs that at least one call wants, and states; empty = all."""
        if not all(call.request.requested_outputs for call in calls):
            return ()
        asked = [name for call in calls for name in call.request.requested_outputs]
        return tuple(dict.fromkeys([*asked, *self._states]))

    def close(self) -> None:
        """Free the model."""
        self._function.close()


def _shapes_of_one(config: ModelConfig) -> dict[str, tuple[int, ...]]:
    """Shapes of the outputs that may have just one element."""
    shapes = {io.name: io.reshape.shape if io.HasField("reshape") else io.dims for io in config.output}
    return {name: (1,) * len(shape) for name, shape in shapes.items() if set(shape) <= {1, -1}}


def _cut_apart(calls: Sequence[Call], outputs: dict[str, Tensor]) -> None:
    """Give each call its rows, as views. Raises: BackendFailed when an output has not one row per input row."""
    rows = sum(call.rows for call in calls)
    for name, tensor in outputs.items():
        if tensor.ndim == 0 or tensor.shape[0] != rows:
            got = tensor.shape[0] if tensor.ndim else 0
            raise BackendFailed(
                f"failed to split the output tensor '{name}' in responses: expected batch size of at least {rows} in "
                f"model output, got {got}"
            )
    start = 0
    for call in calls:
        stop = start + call.rows
        call.answer({name: tensor[start:stop] for name, tensor in outputs.items()})
        start = stop
