"""What an ONNX graph says of its tensors: a configuration is completed from it, and held against it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import onnxruntime
from tritonclient.grpc.model_config_pb2 import ModelConfig, ModelInput, ModelOutput

from bento.inference.backends.ragged import RaggedBatch, batch_input_names
from bento.inference.core.datatypes import config_type_name, datatype_of_config
from bento.inference.core.errors import LoadFailed
from bento.inference.core.model_config import DEFAULT_MAX_BATCH_SIZE, control_and_state_names

_DATATYPES = {
    "tensor(bool)": "BOOL",
    "tensor(uint8)": "UINT8",
    "tensor(uint16)": "UINT16",
    "tensor(uint32)": "UINT32",
    "tensor(uint64)": "UINT64",
    "tensor(int8)": "INT8",
    "tensor(int16)": "INT16",
    "tensor(int32)": "INT32",
    "tensor(int64)": "INT64",
    "tensor(float16)": "FP16",
    "tensor(float)": "FP32",
    "tensor(double)": "FP64",
    "tensor(bfloat16)": "BF16",
    "tensor(string)": "BYTES",
}


class Argument(Protocol):
    """An input or output of a graph."""

    name: str
    type: str
    shape: list[int | str | None]
    """A name or None for a free axis; empty for a tensor without axes, and where the graph says nothing."""


def complete_config(config: ModelConfig, session: onnxruntime.InferenceSession) -> None:
    """Inputs without a default, outputs, and where all first axes are the same free one a batch size and batching.

    Where the first axes are free but of different names, an output may have other rows than the inputs: requests that
    share a batch would get each other's. Raises: LoadFailed.
    """
    inputs, outputs = session.get_inputs(), session.get_outputs()
    first_axes = {io.shape[0] if io.shape else 0 for io in (*inputs, *outputs)}
    may_batch = not any(isinstance(axis, int) for axis in first_axes)
    if may_batch and len(first_axes) == 1:
        config.max_batch_size = config.max_batch_size or DEFAULT_MAX_BATCH_SIZE
        if config.max_batch_size > 1 and config.WhichOneof("scheduling_choice") is None:
            config.dynamic_batching.SetInParent()
    elif config.max_batch_size and not may_batch:
        raise LoadFailed(
            f"autofill failed for model '{config.name}': model does not support batching while non-zero "
            "max_batch_size is specified"
        )
    batcher_inputs, state_outputs = control_and_state_names(config)
    batcher_inputs |= batch_input_names(config)
    if not config.input:
        _declare(config.input, [io for io in inputs if io.name not in batcher_inputs], config.max_batch_size)
    if not config.output:
        _declare(config.output, [io for io in outputs if io.name not in state_outputs], config.max_batch_size)


def _declare(declared: object, arguments: Sequence[Argument], max_batch_size: int) -> None:
    """Write the graph's inputs or outputs into a configuration."""
    for argument in arguments:
        shape = _shape(argument)
        dims = shape[1:] if max_batch_size else shape
        datatype = _datatype(argument)
        io = declared.add(name=argument.name, data_type=config_type_name(datatype), dims=dims or [1])  # type: ignore[attr-defined]
        if not dims and max_batch_size:
            io.reshape.SetInParent()


def _shape(argument: Argument) -> list[int]:
    return [size if isinstance(size, int) else -1 for size in argument.shape]


def _datatype(argument: Argument) -> str:
    try:
        return _DATATYPES[argument.type]
    except KeyError:
        raise LoadFailed(f"unsupported datatype {argument.type} for tensor '{argument.name}'") from None


def check_config(config: ModelConfig, session: onnxruntime.InferenceSession) -> None:
    """Hold a configuration against the graph: names, types and shapes. Raises: LoadFailed where they disagree.

    An input for which the graph has a default (an overridable initializer) may be left out of the configuration.
    """
    ragged = RaggedBatch(config)
    for kind, declared, arguments in (
        ("input", config.input, [*session.get_inputs(), *session.get_overridable_initializers()]),
        ("output", config.output, session.get_outputs()),
    ):
        by_name = {argument.name: argument for argument in arguments}
        for io in declared:
            if io.name not in by_name:
                allowed = ", ".join(sorted(by_name))
                raise LoadFailed(f"unexpected inference {kind} '{io.name}', allowed {kind}s are: {allowed}")
            configured, actual = datatype_of_config(io.data_type), _datatype(by_name[io.name])
            if configured != actual:
                raise LoadFailed(
                    f"unable to load model '{config.name}', configuration expects datatype "
                    f"{config_type_name(configured)} for {kind} '{io.name}', model provides {config_type_name(actual)}"
                )
            if not ragged.reshapes(io.name):
                _check_shape(config, kind, io, by_name[io.name])
    served, _ = control_and_state_names(config)
    with_default = {initializer.name for initializer in session.get_overridable_initializers()}
    without_default = [io for io in config.input if io.name not in with_default]
    expected = len(without_default) + len(served | batch_input_names(config))
    if expected != len(session.get_inputs()):
        raise LoadFailed(
            f"unable to load model '{config.name}', configuration expects {expected} inputs, model provides "
            f"{len(session.get_inputs())}"
        )


def _check_shape(config: ModelConfig, kind: str, io: ModelInput | ModelOutput, argument: Argument) -> None:
    """Raises LoadFailed where no tensor can have both the configured shape and the graph's."""
    actual = _shape(argument)
    if not actual:  # without axes, or of a shape that nobody knows
        return
    dims = list(io.reshape.shape if io.HasField("reshape") else io.dims)
    configured = [-1, *dims] if config.max_batch_size else dims
    agrees = len(configured) == len(actual) and all(
        a == b or -1 in (a, b) for a, b in zip(configured, actual, strict=True)
    )
    if config.max_batch_size > 1 and actual[0] != -1:
        agrees = False
    if not agrees:
        batched = (
            "an initial batch dimension because max_batch_size > 0 followed by the explicit tensor shape, making "
            "complete "
        )
        raise LoadFailed(
            f"unable to load model '{config.name}', {kind} '{io.name}': the model expects {len(actual)} dimensions "
            f"(shape {_text(actual)}) but the model configuration specifies {len(configured)} dimensions "
            f"({batched if config.max_batch_size else ''}shape {_text(configured)})"
        )


def _text(shape: Sequence[int]) -> str:
    return "[" + ",".join(map(str, shape)) + "]"
