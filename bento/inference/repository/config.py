"""A model's configuration: read from `config.pbtxt`, completed, with Triton's defaults filled in.

`config_validation` checks it.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from google.protobuf import json_format, text_format
from tritonclient.grpc.model_config_pb2 import ModelConfig, ModelInstanceGroup

from bento.inference.core.errors import LoadFailed
from bento.inference.core.model_config import path_inside

CONFIG_FILENAME = "config.pbtxt"
ENSEMBLE_PLATFORM = "ensemble"
DEFAULT_SEQUENCE_IDLE_US = 1_000_000

_BACKENDS = (
    # backend, platform, file name
    ("onnxruntime", "onnxruntime_onnx", "model.onnx"),
    ("pytorch", "pytorch_libtorch", "model.pt"),
    ("python", "", "model.py"),
)
_INSTANCES_ON_CPU = {"onnxruntime": 2}
"""Instances of a KIND_CPU group without `count`; 1 for other backends. Source: tritonserver."""


def read_config(model_folder: Path) -> ModelConfig:
    """Parse a model folder's `config.pbtxt`, behind a byte-order mark too; a missing file is an empty configuration.

    Raises: LoadFailed when the text is not a model configuration.
    """
    path = model_folder / CONFIG_FILENAME
    if not path.is_file():
        return ModelConfig()
    try:
        return text_format.Parse(path.read_text(encoding="utf-8-sig"), ModelConfig())
    except (text_format.ParseError, UnicodeDecodeError) as error:
        raise LoadFailed(f"failed to read text proto from {path}: {error}") from error


def parse_override(config_json: str) -> ModelConfig:
    """Read the JSON configuration that a load request carries.

    Raises: LoadFailed when it is not one.
    """
    try:
        return json_format.Parse(config_json.removeprefix("\ufeff"), ModelConfig())
    except json_format.ParseError as error:
        raise LoadFailed(f"failed to parse the override model configuration: {error}") from error


def complete_names(config: ModelConfig, model_name: str, version_folders: Iterable[Path]) -> None:
    """Fill in name, backend, platform and file name, as far as one of them or the files determine the rest.

    Raises: LoadFailed when the backend cannot be determined.
    """
    if not config.name:
        config.name = model_name
    if config.platform == ENSEMBLE_PLATFORM or config.HasField("ensemble_scheduling"):
        config.platform = config.platform or ENSEMBLE_PLATFORM
        return
    first = min(version_folders, key=lambda folder: folder.name, default=None)
    present = {path.name for path in first.iterdir()} if first is not None else set()
    for backend, platform, filename in _BACKENDS:
        named = (platform != "" and config.platform == platform) or config.default_model_filename == filename
        guessed = not (config.platform or config.default_model_filename) and filename in present
        if not config.backend and (named or guessed):
            config.backend = backend
        if config.backend == backend:
            config.platform = config.platform or platform
            config.default_model_filename = config.default_model_filename or filename
            return
    if not (config.backend or config.platform or config.default_model_filename):
        raise LoadFailed(
            f"Invalid model name: Could not determine backend for model '{model_name}' with no backend in model "
            "configuration. Expected model name of the form 'model.<backend_name>'."
        )


def fill_defaults(config: ModelConfig) -> None:
    """Write out what Triton assumes where the configuration is silent, as `/config` shows it."""
    if not config.HasField("version_policy"):
        config.version_policy.latest.num_versions = 1
    preferred = [config.max_batch_size] if config.max_batch_size > 0 else []
    if config.HasField("dynamic_batching") and not config.dynamic_batching.preferred_batch_size:
        config.dynamic_batching.preferred_batch_size.extend(preferred)
    if config.HasField("sequence_batching"):
        batching = config.sequence_batching
        batching.max_sequence_idle_microseconds = batching.max_sequence_idle_microseconds or DEFAULT_SEQUENCE_IDLE_US
        if batching.HasField("oldest") and not batching.oldest.preferred_batch_size:
            batching.oldest.preferred_batch_size.extend(preferred)
    if not config.HasField("ensemble_scheduling"):
        for side in ("input_pinned_memory", "output_pinned_memory"):
            if not config.optimization.HasField(side):
                getattr(config.optimization, side).enable = True


def fill_instance_groups(config: ModelConfig, gpu_ids: tuple[int, ...]) -> None:
    """Resolve instance groups: names, KIND_AUTO, counts, GPUs. `gpu_ids` are those the server may use."""
    if config.HasField("ensemble_scheduling"):
        return
    if not config.instance_group:
        config.instance_group.add(name=config.name)
    for index, group in enumerate(config.instance_group):
        group.name = group.name or f"{config.name}_{index}"
        if group.kind == ModelInstanceGroup.KIND_AUTO:
            usable = bool(gpu_ids) and set(group.gpus) <= set(gpu_ids)
            group.kind = ModelInstanceGroup.KIND_GPU if usable else ModelInstanceGroup.KIND_CPU
        if group.count < 1:
            on_cpu = group.kind == ModelInstanceGroup.KIND_CPU
            group.count = _INSTANCES_ON_CPU.get(config.backend, 1) if on_cpu else 1
        if group.kind == ModelInstanceGroup.KIND_GPU and not group.gpus:
            group.gpus.extend(gpu_ids)


def composing_models(config: ModelConfig) -> set[str]:
    """Names of the models that an ensemble is composed of; empty for other models."""
    return {step.model_name for step in config.ensemble_scheduling.step}


def read_labels(config: ModelConfig, model_folder: Path) -> dict[str, list[str]]:
    """Class labels of each output that names a label file. Raises: LoadFailed when the file cannot be read."""
    labels = {}
    for output in config.output:
        if output.label_filename:
            path = path_inside(model_folder, output.label_filename)
            try:
                labels[output.name] = path.read_text(encoding="utf-8-sig").splitlines()
            except (OSError, UnicodeDecodeError) as error:
                raise LoadFailed(f"failed to read label file {path} of output '{output.name}': {error}") from error
    return labels
