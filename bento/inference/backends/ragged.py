"""Ragged batching: inputs of different lengths in one batch, laid end to end, with tensors that mark the borders."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import numpy as np
from tritonclient.grpc.model_config_pb2 import BatchInput, ModelConfig

from bento.inference.backends.interface import Call
from bento.inference.core.datatypes import NUMPY_TYPES, datatype_of_config
from bento.inference.core.errors import BackendFailed
from bento.inference.core.messages import Tensor


class RaggedBatch:
    """Joins and cuts the ragged tensors of one model."""

    def __init__(self, config: ModelConfig) -> None:
        batches = config.max_batch_size > 0
        self._ragged = {io.name for io in config.input if io.allow_ragged_batch} if batches else set()
        self._told = list(config.batch_input)
        self._scattered = {
            target: batch_output.source_input[0]
            for batch_output in config.batch_output
            for target in batch_output.target_name
        }
        self.is_needed = bool(self._ragged or self._told or self._scattered)

    def reshapes(self, name: str) -> bool:
        """Whether the model reads or writes this tensor in another shape than the configuration's."""
        return name in self._ragged or name in self._scattered

    def join(self, calls: Sequence[Call]) -> dict[str, Tensor]:
        """Inputs of the batch: ragged ones as one (total elements,) tensor, the rest row by row."""
        inputs = {}
        for name in calls[0].inputs:
            tensors = [call.inputs[name] for call in calls]
            inputs[name] = np.concatenate([tensor.ravel() for tensor in tensors] if name in self._ragged else tensors)
        for batch_input in self._told:
            shapes = [call.inputs[batch_input.source_input[0]].shape for call in calls]
            numpy_type = NUMPY_TYPES[datatype_of_config(batch_input.data_type)]
            for target in batch_input.target_name:
                inputs[target] = _told(batch_input.kind, shapes).astype(numpy_type)
        return inputs

    def cut_apart(self, calls: Sequence[Call], outputs: dict[str, Tensor]) -> list[dict[str, Tensor]]:
        """Outputs of each call. Raises: BackendFailed when an output has not the elements that the inputs had."""
        parts: list[dict[str, Tensor]] = [{} for _ in calls]
        rows = sum(call.rows for call in calls)
        for name, tensor in outputs.items():
            source = self._scattered.get(name)
            expected = rows if source is None else sum(call.inputs[source].size for call in calls)
            flat = tensor if source is None else tensor.ravel()
            if flat.ndim == 0 or flat.shape[0] != expected:
                raise BackendFailed(
                    f"failed to split the output tensor '{name}' in responses: expected {expected} along its first "
                    f"axis, got {flat.shape[0] if flat.ndim else 0}"
                )
            start = 0
            for call, part in zip(calls, parts, strict=True):
                stop = start + (call.rows if source is None else call.inputs[source].size)
                part[name] = flat[start:stop] if source is None else flat[start:stop].reshape(call.inputs[source].shape)
                start = stop
        return parts


def batch_input_names(config: ModelConfig) -> set[str]:
    """Inputs of the model file that ragged batching fills in."""
    return {target for batch_input in config.batch_input for target in batch_input.target_name}


def _told(kind: int, shapes: list[tuple[int, ...]]) -> Tensor:
    """The extra input that describes the source input's shapes in a batch."""
    counts = np.array([prod(shape) for shape in shapes], dtype=np.int64)
    if kind == BatchInput.BATCH_ELEMENT_COUNT:
        return counts
    if kind == BatchInput.BATCH_ACCUMULATED_ELEMENT_COUNT:
        return np.cumsum(counts)
    if kind == BatchInput.BATCH_ACCUMULATED_ELEMENT_COUNT_WITH_ZERO:
        return np.concatenate([np.zeros(1, np.int64), np.cumsum(counts)])
    if kind == BatchInput.BATCH_MAX_ELEMENT_COUNT_AS_SHAPE:
        return np.zeros(int(counts.max()), dtype=np.int64)
    items = np.array([shape[1:] for shape in shapes for _ in range(shape[0])], dtype=np.int64)
    return items if kind == BatchInput.BATCH_ITEM_SHAPE else items.ravel()
