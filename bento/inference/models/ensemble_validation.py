"""Checks that an ensemble's steps fit together, with Triton's messages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from tritonclient.grpc.model_config_pb2 import DataType, ModelConfig, ModelEnsembling

from bento.inference.core.errors import LoadFailed
from bento.inference.models.contract import dims_text


@dataclass(slots=True)
class _Node:
    """An ensemble tensor in the dataflow."""

    name: str
    is_output: bool = False
    ready: bool = False
    before: list[_Node] = field(default_factory=list)
    after: list[_Node] = field(default_factory=list)


def validate_dataflow(config: ModelConfig) -> None:
    """Every tensor is written once, before it is read, and is of use. Raises: LoadFailed."""
    name = config.name
    nodes = _dataflow(config)
    for tensor in config.input:
        if tensor.name not in nodes:
            raise LoadFailed(f"ensemble input '{tensor.name}' for ensemble {name} is not used")
        nodes[tensor.name].ready = True
    waiting = [nodes[tensor.name] for tensor in config.input]
    while waiting:
        for node in waiting.pop().after:
            if not node.ready and all(earlier.ready for earlier in node.before):
                node.ready = True
                waiting.append(node)
    for tensor in config.output:
        if tensor.name not in nodes:
            raise LoadFailed(f"ensemble output '{tensor.name}' for ensemble {name} is not used")
        if not nodes[tensor.name].ready:
            raise LoadFailed(_not_written(nodes[tensor.name], name))
    outputs = {tensor.name for tensor in config.output}
    for node in nodes.values():
        if node.name not in outputs and not (node.ready and node.after):
            raise LoadFailed(f"ensemble tensor '{node.name}' is unused in ensemble '{name}'")


def _dataflow(config: ModelConfig) -> dict[str, _Node]:
    name = config.name
    nodes: dict[str, _Node] = {}
    for index, step in enumerate(config.ensemble_scheduling.step):
        for part in ("model_name", "input_map", "output_map"):
            if not getattr(step, part):
                raise LoadFailed(f"must specify '{part}' in step {index} of ensemble '{name}'")
        outputs = []
        for tensor in step.output_map.values():
            node = nodes.setdefault(tensor, _Node(tensor))
            if node.is_output:
                raise LoadFailed(
                    f"ensemble tensor '{tensor}' can appear in an output map only once for ensemble '{name}' step "
                    f"{index}"
                )
            node.is_output = True
            outputs.append(node)
        for tensor in step.input_map.values():
            node = nodes.setdefault(tensor, _Node(tensor))
            for output in outputs:
                output.before.append(node)
                node.after.append(output)
    return nodes


def _not_written(node: _Node, ensemble: str) -> str:
    """Names the deepest tensor that is missing; a cycle ends where it closes."""
    last, seen = node, {node.name}
    while True:
        missing = next((earlier for earlier in last.before if not earlier.ready and earlier.name not in seen), None)
        if missing is None:
            break
        seen.add(missing.name)
        last = missing
    message = f"output '{node.name}' for ensemble '{ensemble}' is not written"
    if last is not node:
        message += f": at least one of its depending tensors, '{last.name}', is not connected"
    return message


@dataclass(frozen=True, slots=True)
class _Tensor:
    """Type and shape of an ensemble tensor as one model sees it."""

    model: str
    data_type: int
    dims: tuple[int, ...]
    full_dims: tuple[int, ...]


def validate_tensor_mappings(config: ModelConfig, models: Sequence[ModelConfig]) -> None:
    """Steps name inputs and outputs that their models have, with agreeing types and shapes. Raises: LoadFailed.

    models: the completed configuration of each step's model, in order.
    """
    tensors = {}
    for io in (*config.input, *config.output):
        dims = io.reshape.shape if io.HasField("reshape") else io.dims
        tensors[io.name] = _tensor(config.name, config.max_batch_size, io.data_type, dims)
    for step, model in zip(config.ensemble_scheduling.step, models, strict=True):
        if model.max_batch_size and model.max_batch_size < config.max_batch_size:
            raise LoadFailed(
                f"ensemble {config.name} allows maximum batch size {config.max_batch_size}, but it contains model "
                f"{step.model_name} which only allows maximum batch size to be {model.max_batch_size}"
            )
        _validate_step(config.name, step, model, tensors)


def _validate_step(ensemble: str, step: ModelEnsembling.Step, model: ModelConfig, tensors: dict[str, _Tensor]) -> None:
    where = f"in ensemble {ensemble}, "
    inputs, outputs = {io.name: io for io in model.input}, {io.name: io for io in model.output}
    for name, tensor in step.input_map.items():
        if name not in inputs:
            raise LoadFailed(
                f"{where}ensemble tensor {tensor} is mapping to non-existing input {name} in model {step.model_name}"
            )
    for io in model.input:
        if io.name not in step.input_map and not io.optional:
            raise LoadFailed(f"{where}input {io.name} in model {step.model_name} is not mapped to any ensemble tensors")
    for name, tensor in step.output_map.items():
        if name not in outputs:
            raise LoadFailed(
                f"{where}ensemble tensor {tensor} is mapped from non-existing output {name} in model {step.model_name}"
            )
    for mapping, declared in ((step.input_map, inputs), (step.output_map, outputs)):
        for name, tensor in mapping.items():
            io = declared[name]
            seen = _tensor(step.model_name, model.max_batch_size, io.data_type, io.dims)
            first = tensors.setdefault(tensor, seen)
            _check_agreement(first, seen, f"{where}ensemble tensor {tensor}: ")


def _tensor(model: str, max_batch_size: int, data_type: int, dims: Sequence[int]) -> _Tensor:
    return _Tensor(model, data_type, tuple(dims), (-1, *dims) if max_batch_size else tuple(dims))


def _check_agreement(first: _Tensor, seen: _Tensor, prefix: str) -> None:
    if first.data_type != seen.data_type:
        raise LoadFailed(
            f"{prefix}inconsistent data type: {DataType.Name(first.data_type)} is inferred from model {first.model} "
            f"while {DataType.Name(seen.data_type)} is inferred from model {seen.model}"
        )
    if not (_agree(first.dims, seen.dims) or _agree(first.full_dims, seen.full_dims)):
        raise LoadFailed(
            f"{prefix}inconsistent shape: {dims_text(first.full_dims)} is inferred from model {first.model} while "
            f"{dims_text(seen.full_dims)} is inferred from model {seen.model}"
        )


def _agree(one: tuple[int, ...], other: tuple[int, ...]) -> bool:
    return len(one) == len(other) and all(a == b or -1 in (a, b) for a, b in zip(one, other, strict=True))
