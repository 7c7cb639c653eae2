"""What a model repository holds: the models of a release, their folders, their configurations."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from features.scorers import SCORER_MODELS
from features.sources import TABLE

if TYPE_CHECKING:
    from tritonclient.grpc.model_config_pb2 import ModelConfig

ROOT = Path(__file__).resolve().parent.parent
"""Of the checkout."""

COMMITTED_REPOSITORY = ROOT / "model_repository"
"""Where the config.pbtxt files are kept under version control."""

USER_ENCODERS = tuple(dict.fromkeys(source.model for source in TABLE if source.model))
"""Read `history`, `ratings` and `age_days`; exported to ONNX."""

SCORERS = tuple(SCORER_MODELS.values())
"""Order a person's best candidates; of one signature."""

NEW_FILM_TOWER = "new_film_tower"
"""Places films that are added while serving; see `training.models.new_film_tower`."""

TORCHSCRIPT_TOWER = "user_tower_torchscript"
"""The user tower as TorchScript. Optional: serving it needs torch."""

HYBRID = "hybrid"
"""All of a recommendation's models in one graph; see `export.graphs.hybrid`. Optional: large catalogues, and indexes
that are not exact, have none, and the models one by one give the same answers."""

TEXT_MODELS = ("tokenizer", "text_encoder", "text_embedding")
IMAGE_MODELS = ("image_decoder", "image_encoder", "image_embedding")
"""Left out of a release whose data have no posters."""

MODELS = (
    *USER_ENCODERS, TORCHSCRIPT_TOWER, "fusion", "retrieval", *SCORERS, NEW_FILM_TOWER, *TEXT_MODELS, *IMAGE_MODELS,
    "hybrid_candidates", HYBRID,
)  # fmt: skip

OPTIONAL_MODELS = (TORCHSCRIPT_TOWER, *IMAGE_MODELS, HYBRID)
"""A server may serve a release without these."""


def version_folder(repository: Path, model: str, number: int) -> Path:
    """Where the files of a release's model are; Triton calls the number a version."""
    return repository / model / str(number)


def read_config(repository: Path, model: str) -> ModelConfig:
    """The model's config.pbtxt.

    Raises: FileNotFoundError, google.protobuf.text_format.ParseError.
    """
    # Here and not above: importing tritonclient takes most of a second, and looking for a release needs neither.
    from google.protobuf import text_format
    from tritonclient.grpc.model_config_pb2 import ModelConfig

    return text_format.Parse((repository / model / "config.pbtxt").read_text(encoding="utf-8"), ModelConfig())


def backend_of(config: ModelConfig) -> str:
    """`onnxruntime`, `pytorch`, `python` or `ensemble`."""
    return config.backend or config.platform


def copy_missing_configs(repository: Path) -> list[str]:
    """Bring the committed configurations to another repository; those that are there stay. Names of copied models."""
    copied = []
    for model in MODELS:
        target = repository / model / "config.pbtxt"
        if not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(COMMITTED_REPOSITORY / model / "config.pbtxt", target)
            copied.append(model)
    return copied
