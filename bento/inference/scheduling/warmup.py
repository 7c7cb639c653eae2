"""Warm-up: requests that each instance runs before it serves, so that no client waits for lazy initialisation."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from tritonclient.grpc.model_config_pb2 import ModelConfig, ModelWarmup

from bento.inference.backends.interface import Instance
from bento.inference.core.datatypes import NUMPY_TYPES, datatype_of_config
from bento.inference.core.errors import InferenceError, LoadFailed
from bento.inference.core.messages import InferRequest, Parameters, Tensor
from bento.inference.core.model_config import path_inside


class WarmUpCall:
    """A request whose answer is dropped."""

    abandoned = False

    def __init__(self, request: InferRequest, rows: int) -> None:
        self.request = request
        self.inputs = request.inputs
        self.rows = rows
        self.error: InferenceError | None = None

    def answer(self, outputs: dict[str, Tensor]) -> None:
        """See `backends.interface.Call`."""

    def fail(self, error: InferenceError) -> None:
        """See `backends.interface.Call`."""
        self.error = error

    def send(
        self,
        outputs: dict[str, Tensor] | None,
        error: InferenceError | None,
        final: bool,
        parameters: Parameters | None = None,
    ) -> None:
        """See `backends.interface.Call`."""
        self.error = error or self.error


def warm_up_requests(config: ModelConfig, model_folder: Path) -> list[tuple[str, InferRequest, int]]:
    """Name, request and repetitions of each sample in the configuration. Raises: LoadFailed."""
    return [
        (sample.name, InferRequest(config.name, _inputs(sample, config.max_batch_size > 0, model_folder)),
         max(sample.count, 1))
        for sample in config.model_warmup
    ]  # fmt: skip


def warm_up(instance: Instance, samples: Sequence[tuple[str, InferRequest, int]], *, batched: bool) -> None:
    """Run every sample on one instance. Raises: LoadFailed when the model fails on one."""
    for name, request, repetitions in samples:
        if not request.inputs:
            raise LoadFailed(f"failed to run warmup sample '{name}': it has no inputs")
        rows = next(iter(request.inputs.values())).shape[0] if batched else 0
        for _ in range(repetitions):
            call = WarmUpCall(request, rows)
            instance.execute([call])
            if call.error is not None:
                raise LoadFailed(f"failed to run warmup sample '{name}': {call.error}") from call.error


def _inputs(sample: ModelWarmup, batched: bool, model_folder: Path) -> dict[str, Tensor]:
    inputs = {}
    for name, source in sample.inputs.items():
        datatype = datatype_of_config(source.data_type)
        if datatype not in NUMPY_TYPES:
            raise LoadFailed(f"warmup sample '{sample.name}' input '{name}' must specify 'data_type'")
        shape = tuple(source.dims)
        if min(shape, default=0) < 0:
            raise LoadFailed(f"warmup sample '{sample.name}' input '{name}' must specify every dimension, got {shape}")
        kind = source.WhichOneof("input_data_type")
        if kind == "input_data_file":
            tensor = _from_file(path_inside(model_folder / "warmup", source.input_data_file), datatype, shape)
        elif kind == "random_data" and datatype not in ("BYTES", "BOOL"):
            tensor = np.random.default_rng(0).integers(0, 2, size=shape).astype(NUMPY_TYPES[datatype])
        else:
            tensor = np.full(shape, b"" if datatype == "BYTES" else 0, dtype=NUMPY_TYPES[datatype])
        inputs[name] = np.stack([tensor] * max(sample.batch_size, 1)) if batched else tensor
    return inputs


def _from_file(path: Path, datatype: str, shape: tuple[int, ...]) -> Tensor:
    try:
        content = path.read_bytes()
        if datatype != "BYTES":
            return np.frombuffer(content, dtype=NUMPY_TYPES[datatype]).reshape(shape)
        elements = []
        while content:
            length = int.from_bytes(content[:4], "little")
            elements.append(content[4 : 4 + length])
            content = content[4 + length :]
        tensor = np.empty(len(elements), dtype=np.object_)
        tensor[:] = elements
        return tensor.reshape(shape)
    except (OSError, ValueError) as error:
        raise LoadFailed(f"failed to read warmup data from {path}: {error}") from error
