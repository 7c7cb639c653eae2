"""A checkpoint: a finished training on disk, as safetensors, npz and JSON, nothing pickled."""

from __future__ import annotations

import os
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson
from safetensors.torch import load_file, save_file
from torch import nn

from features.catalog import Catalog
from features.scorers import DOT, MLP, SCORER_MODELS
from training.content.vectors import ContentVectors
from training.data.dataset import Dataset
from training.fit.loop import Curve
from training.fit.trainer import FittedModels
from training.models.content_profile import ContentProfile
from training.models.ease import EaseModel
from training.models.fused_query import FusedQuery
from training.models.ials import IalsUser
from training.models.mlp_scorer import DotScorer, MlpScorer
from training.models.sequence import SequenceEncoder
from training.models.two_tower import UserTower
from training.options import TrainOptions

Float32 = npt.NDArray[np.float32]

FORMAT = 1
FACTS_FILE = "trained.json"

ENCODER_TYPES: dict[str, type[nn.Module]] = {
    "sequence_encoder": SequenceEncoder,
    "user_tower": UserTower,
    "ials_user": IalsUser,
    "content_profile": ContentProfile,
    "ease": EaseModel,
    "fusion": FusedQuery,
    SCORER_MODELS[DOT]: DotScorer,
    SCORER_MODELS[MLP]: MlpScorer,
}
"""Serving module of each model of the release."""


class CheckpointFormatError(Exception):
    """A checkpoint was written by another version of this code."""

    def __init__(self, folder: Path, found: object) -> None:
        super().__init__(f"{folder} holds a checkpoint of format {found}, not {FORMAT}: delete it and train again")


class CheckpointNotFound(Exception):
    """A command needs a checkpoint that does not exist."""

    def __init__(self, folder: Path) -> None:
        super().__init__(
            f"there is no checkpoint in {folder}: train with the same options first (python -m training train)"
        )


@dataclass(frozen=True, slots=True)
class DataFacts:
    """The data that the models were trained on."""

    name: str
    fingerprint: str
    simulated: bool
    people: int
    films: int
    events: int
    """Events that the served models were trained on; fewer than the data has when a protocol's are held out."""
    hold_out: str | None
    """The protocol whose events were held out, or None."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A finished training: everything an export needs."""

    facts: DataFacts
    options_hash: str
    catalog: Catalog
    models: FittedModels
    content: ContentVectors
    fusion_weights: dict[str, float]
    """Weight of each source; they sum to 1."""
    presets: dict[str, dict[str, float]]
    """Other weights by name."""
    metrics: dict[str, Any]
    """Offline metrics as plain values: "validation" and, with something held out, "test", each as
    {"protocol": …, "people": …, "sources": {source: {"ndcg@10": {"mean": …, "se": …}, …}}, …}."""

    @property
    def encoders(self) -> dict[str, nn.Module]:
        """Serving modules by model name; each has `input_names` and `output_names`."""
        return self.models.encoders

    @property
    def item_vectors(self) -> dict[str, Float32]:
        """Source → (N, width) centred; zeros where a film has no such vector."""
        return self.models.item_vectors

    @property
    def popularity(self) -> Float32:
        """(N,) weighted event counts."""
        return self.models.popularity

    def save(self, folder: Path) -> None:
        """Write to `folder` atomically; an earlier checkpoint there is replaced."""
        partial = folder.with_name(f"{folder.name}.partial-{os.getpid()}")
        shutil.rmtree(partial, ignore_errors=True)
        (partial / "encoders").mkdir(parents=True)
        for name, module in self.encoders.items():
            tensors = {key: value.contiguous() for key, value in module.state_dict().items()}
            save_file(tensors, partial / "encoders" / f"{name}.safetensors")
        np.savez(partial / "item_vectors.npz", allow_pickle=False, **self.item_vectors)
        np.save(partial / "popularity.npy", self.popularity)
        self.catalog.save(partial / "catalog.json")
        self.content.save(partial / "content")
        written = {
            "format": FORMAT,
            "facts": asdict(self.facts),
            "options_hash": self.options_hash,
            "encoders": {name: module.config for name, module in self.encoders.items()},
            "curves": {name: asdict(curve) for name, curve in self.models.curves.items()},
            "fusion_weights": self.fusion_weights,
            "presets": self.presets,
            "metrics": self.metrics,
        }
        (partial / FACTS_FILE).write_bytes(orjson.dumps(written, option=orjson.OPT_INDENT_2))
        shutil.rmtree(folder, ignore_errors=True)
        partial.rename(folder)

    @classmethod
    def load(cls, folder: Path) -> Checkpoint:
        """Read what `save` wrote.

        Raises: FileNotFoundError when a part is missing, CheckpointFormatError for another version's checkpoint.
        """
        written = orjson.loads((folder / FACTS_FILE).read_bytes())
        if written.get("format") != FORMAT:
            raise CheckpointFormatError(folder, written.get("format"))
        encoders = {}
        for name, config in written["encoders"].items():
            module = ENCODER_TYPES[name](**config)
            module.load_state_dict(load_file(folder / "encoders" / f"{name}.safetensors"))
            encoders[name] = module.eval()
        with np.load(folder / "item_vectors.npz", allow_pickle=False) as stored:
            item_vectors = {name: stored[name] for name in stored.files}
        curves = {name: Curve(**curve) for name, curve in written["curves"].items()}
        return cls(
            facts=DataFacts(**written["facts"]),
            options_hash=written["options_hash"],
            catalog=Catalog.load(folder / "catalog.json"),
            models=FittedModels(encoders, item_vectors, np.load(folder / "popularity.npy"), curves),
            content=ContentVectors.load(folder / "content"),
            fusion_weights=written["fusion_weights"],
            presets=written["presets"],
            metrics=written["metrics"],
        )


def checkpoint_folder(dataset: Dataset, home: Path, options: TrainOptions) -> Path:
    """The folder of a training's checkpoint; equal data and options share it."""
    return home / "checkpoints" / f"{dataset.fingerprint[:12]}-{options.hash}"


def find_checkpoint(dataset: Dataset, home: Path, options: TrainOptions) -> Checkpoint:
    """The checkpoint of an earlier training.

    Raises: CheckpointNotFound, CheckpointFormatError.
    """
    folder = checkpoint_folder(dataset, home, options)
    if not (folder / FACTS_FILE).exists():
        raise CheckpointNotFound(folder)
    return Checkpoint.load(folder)
