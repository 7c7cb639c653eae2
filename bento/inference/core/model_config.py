"""What several packages read from a model's configuration. Reading the file itself is the repository's part."""

from __future__ import annotations

import os
from pathlib import Path

from tritonclient.grpc.model_config_pb2 import ModelConfig

from bento.inference.core.errors import LoadFailed

DEFAULT_MAX_BATCH_SIZE = 4
"""Given to models that could batch and do not say how much. Source: tritonserver's default-max-batch-size."""


def path_inside(folder: Path, name: str) -> Path:
    """A path that a configuration names relative to a folder. Configurations may come over the network.

    Links in the repository are allowed. Raises: LoadFailed when the name itself leads out of the folder.
    """
    path = Path(os.path.normpath(folder / name))
    if not path.is_relative_to(os.path.normpath(folder)):
        raise LoadFailed(f"path '{name}' leads out of the model's folder")
    return path


def control_and_state_names(config: ModelConfig) -> tuple[set[str], set[str]]:
    """Inputs and outputs of the model file that the sequence batcher serves, not the client."""
    batching = config.sequence_batching
    inputs = {declared.name for declared in batching.control_input} | {state.input_name for state in batching.state}
    return inputs, {state.output_name for state in batching.state}
