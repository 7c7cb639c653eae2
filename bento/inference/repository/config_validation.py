"""Checks a model configuration, with Triton's messages; `ensemble_validation` checks ensembles' steps."""

from __future__ import annotations

from math import prod

from tritonclient.grpc.model_config_pb2 import (
    TYPE_INVALID,
    ModelConfig,
    ModelDynamicBatching,
    ModelInput,
    ModelInstanceGroup,
    ModelOutput,
    ModelQueuePolicy,
)

from bento.inference.core.errors import LoadFailed
from bento.inference.repository.config import ENSEMBLE_PLATFORM


def validate_scheduling(config: ModelConfig) -> None:
    """Check everything but inputs and outputs. Raises: LoadFailed."""
    name = config.name
    is_ensemble = config.platform == ENSEMBLE_PLATFORM
    if not config.backend and not is_ensemble:
        raise LoadFailed(f"unexpected platform type '{config.platform}' for {name}")
    if config.backend and is_ensemble:
        raise LoadFailed(f"Ensemble model '{name}' must have platform type '{config.platform}' and empty backend type")
    if config.max_batch_size < 0:
        raise LoadFailed(f"'max_batch_size' must be non-negative value for {name}")
    if config.HasField("dynamic_batching"):
        _validate_dynamic_batching(config.dynamic_batching, config)
    if config.HasField("sequence_batching") and config.response_cache.enable:
        raise LoadFailed(
            f"Response Cache does not currently support model {name} with sequence batching scheduler. Please disable "
            "the response cache."
        )
    if config.HasField("ensemble_scheduling"):
        _validate_ensemble_fields(config)
    elif is_ensemble:
        raise LoadFailed(f"ensemble scheduling must be set for ensemble {name} whose platform is {ENSEMBLE_PLATFORM}")
    if config.model_transaction_policy.decoupled and config.response_cache.enable:
        raise LoadFailed(
            f"Response Cache does not currently support model {name} with 'decoupled' transaction policy. Please "
            "disable the response cache."
        )


def validate_instance_groups(config: ModelConfig, gpu_ids: tuple[int, ...]) -> None:
    """Check that every instance can be placed. Raises: LoadFailed."""
    for group in config.instance_group:
        where = f"instance group {group.name} of model {config.name}"
        if group.kind != ModelInstanceGroup.KIND_GPU:
            if group.gpus:
                kind = ModelInstanceGroup.Kind.Name(group.kind)
                raise LoadFailed(f"{where} has kind {kind} but specifies one or more GPUs")
        elif not gpu_ids:
            raise LoadFailed(f"{where} has kind KIND_GPU but no GPUs are available")
        else:
            for gpu in group.gpus:
                if gpu not in gpu_ids:
                    known = ", ".join(map(str, gpu_ids))
                    raise LoadFailed(f"{where} specifies invalid or unsupported gpu id {gpu}. GPUs are: {known}")


def validate_tensors(config: ModelConfig) -> None:
    """Check inputs and outputs. Raises: LoadFailed."""
    for side, tensors in (("input", config.input), ("output", config.output)):
        for tensor in tensors:
            try:
                _validate_tensor(tensor, config.max_batch_size, f"model {side} ")
            except LoadFailed as error:
                raise LoadFailed(f"{error} for {config.name}") from None


def _validate_dynamic_batching(batching: ModelDynamicBatching, config: ModelConfig) -> None:
    for size in batching.preferred_batch_size:
        if size <= 0:
            raise LoadFailed(f"dynamic batching preferred size must be positive for {config.name}")
        if size > config.max_batch_size:
            raise LoadFailed(f"dynamic batching preferred size must be <= max batch size for {config.name}")
    levels = batching.priority_levels
    if levels:
        if not 1 <= batching.default_priority_level <= levels:
            raise LoadFailed(f"default priority level must be in range [1, {levels}] for {config.name}")
        if any(not 1 <= level <= levels for level in batching.priority_queue_policy):
            raise LoadFailed(f"priority queue policy must have priority level in range [1, {levels}] for {config.name}")
    if batching.preserve_ordering:
        if levels > 1:
            raise LoadFailed(f"Only one priority level is allowed when 'preserve_ordering' is true for {config.name}")
        for policy in (batching.default_queue_policy, *batching.priority_queue_policy.values()):
            if policy.default_timeout_microseconds and policy.timeout_action == ModelQueuePolicy.DELAY:
                raise LoadFailed(
                    "Queue policy can not have DELAY as timeout action when 'preserve_ordering' is true for "
                    f"{config.name}"
                )


def _validate_ensemble_fields(config: ModelConfig) -> None:
    name = config.name
    if config.platform != ENSEMBLE_PLATFORM:
        raise LoadFailed(
            f"ensemble scheduling cannot be set for model '{name}' whose platform is not {ENSEMBLE_PLATFORM}"
        )
    if config.instance_group:
        raise LoadFailed(f"instance group should not be specified for ensemble '{name}'")
    if config.HasField("optimization"):
        raise LoadFailed(f"optimization should not be specified for ensemble '{name}'")
    if config.model_warmup:
        raise LoadFailed(f"model_warmup can not be specified for ensemble '{name}'")
    if not config.ensemble_scheduling.step:
        raise LoadFailed(f"must specify 'step' for ensemble '{name}'")


def _validate_tensor(tensor: ModelInput | ModelOutput, max_batch_size: int, prefix: str) -> None:
    if not tensor.name:
        raise LoadFailed(f"{prefix}must specify 'name'")
    prefix = f"{prefix}'{tensor.name}' "
    if tensor.data_type == TYPE_INVALID:
        raise LoadFailed(f"{prefix}must specify 'data_type'")
    if not tensor.dims:
        raise LoadFailed(f"{prefix}must specify 'dims'")
    if any(dim < 1 and dim != -1 for dim in tensor.dims):
        raise LoadFailed(f"{prefix}dimension must be integer >= 1, or -1 to indicate a variable-size dimension")
    if tensor.is_shape_tensor:
        raise LoadFailed("shape tensors are only supported for TensorRT platform")
    if tensor.HasField("reshape"):
        _validate_reshape(list(tensor.dims), list(tensor.reshape.shape), max_batch_size, prefix)


def _validate_reshape(dims: list[int], shape: list[int], max_batch_size: int, prefix: str) -> None:
    if not shape and max_batch_size == 0:
        raise LoadFailed(
            f"{prefix}cannot have empty reshape for non-batching model as scalar tensors are not supported"
        )
    if any(dim < 1 and dim != -1 for dim in shape):
        raise LoadFailed(
            f"{prefix}reshape dimensions must be integer >= 1, or -1 to indicate a variable-size dimension"
        )
    dims_parts, shape_parts = _fixed_parts(dims), _fixed_parts(shape)
    if len(dims_parts) != len(shape_parts) and len(dims_parts) > 1 and len(shape_parts) > 1:
        raise LoadFailed(f"{prefix}has different number of variable-size dimensions for dims and reshape")
    if dims_parts != shape_parts:
        raise LoadFailed(f"{prefix}has different size for dims and reshape")


def _fixed_parts(dims: list[int]) -> list[int]:
    """Element counts of the runs between variable dimensions: [2, 4, -1, 6] → [8, 6]."""
    parts: list[int] = []
    run: list[int] = []
    for dim in dims:
        if dim == -1:
            parts.append(prod(run))
            run = []
        else:
            run.append(dim)
    return [*parts, prod(run)]
