"""Chooses the poster network: weights of a file, ImageNet's, or one trained from scratch and cached."""

from __future__ import annotations

import inspect
import os
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import numpy as np
from rich.progress import Progress
from safetensors import safe_open
from safetensors.torch import save_file

import features.posters
from features.catalog import Catalog
from training.content import poster_training
from training.content.poster_encoder import (
    IMAGENET_FILES,
    IMAGENET_SIZE,
    PosterEncoder,
    PosterWeightsError,
    cached_imagenet_weights,
    download_imagenet_weights,
    load_poster_encoder,
    read_pixels,
)
from training.content.poster_training import (
    SCRATCH_MARGIN,
    SCRATCH_SIZE,
    PosterExamples,
    PosterTraining,
    era_of,
    steps_per_epoch,
    train_poster_encoder,
)

FROM_CACHE_OR_SCRATCH, IMAGENET, FROM_SCRATCH = "auto", "imagenet", "scratch"
"""Names for `weights`; anything else is the path of a file."""

_N_POSTERS = "posters"


@dataclass(frozen=True, slots=True)
class PosterNetwork:
    """An encoder, the size S that it takes, where its weights come from (for people), and its hash (hex)."""

    encoder: PosterEncoder
    size: int
    label: str
    hash: str


@dataclass(frozen=True, slots=True)
class Posters:
    """The posters of a catalogue by item_row, and the sha256 of each one's bytes; both in ascending order of row."""

    catalog: Catalog
    paths: Mapping[int, Path]
    digests: Mapping[int, bytes]

    @classmethod
    def read(cls, catalog: Catalog, paths: Mapping[int, Path]) -> Posters:
        """Read every file once, for its hash. Raises: OSError when one cannot be opened."""
        ordered = dict(sorted(paths.items()))
        return cls(catalog, ordered, {row: sha256(path.read_bytes()).digest() for row, path in ordered.items()})


def poster_network(
    weights: str, training: PosterTraining, posters: Posters, cache: Path, progress: Progress
) -> PosterNetwork | None:
    """The network that `weights` asks for: "auto", "imagenet", "scratch", or a file's path.

    "auto" takes ImageNet weights from torch hub's cache when they are there, and else trains from scratch: a first
    start never waits for a download. "imagenet" downloads them. A network trained from scratch is kept in `cache` and
    trained again only when the posters, their genres or years, the epochs, the seed or the training change; None when
    no poster can be read to train on.

    Raises: WeightsNotFound, WeightsRefused, WeightsUnreachable.
    """
    if weights == FROM_SCRATCH:
        path = None
    elif weights == FROM_CACHE_OR_SCRATCH:
        path = cached_imagenet_weights()
    elif weights == IMAGENET:
        path = download_imagenet_weights()
    else:
        path = Path(weights)
    if path is not None:
        return _from_file(path)
    return _from_scratch(training, posters, cache, progress)


def _from_file(path: Path) -> PosterNetwork:
    encoder = load_poster_encoder(path)
    digest = sha256(path.read_bytes()).hexdigest()
    imagenet = next((name for name, file in IMAGENET_FILES.items() if file == path.name), None)
    label = f"ImageNet ({imagenet})" if imagenet else f"from the file {path.name} (sha256 {digest[:12]})"
    return PosterNetwork(encoder, IMAGENET_SIZE, label, _hash(digest, IMAGENET_SIZE))


def _from_scratch(training: PosterTraining, posters: Posters, cache: Path, progress: Progress) -> PosterNetwork | None:
    digest = _lessons_hash(training, posters)
    path = cache / f"poster-network-{digest[:16]}.safetensors"
    trained = _read_trained(path)
    if trained is None:
        examples = _examples(posters)
        if examples is None:
            return None
        trained = _train(training, examples, progress), len(examples.images)
        _write_trained(*trained, path)
    encoder, n_posters = trained
    label = f"trained from scratch on {n_posters} posters"
    return PosterNetwork(encoder, SCRATCH_SIZE, label, _hash(digest, SCRATCH_SIZE))


def _lessons_hash(training: PosterTraining, posters: Posters) -> str:
    """Hash of everything that decides the trained network, the source of the training included."""
    digest = sha256(f"{training.epochs} {training.seed}".encode())
    digest.update((inspect.getsource(poster_training) + inspect.getsource(features.posters)).encode())
    for row, poster in posters.digests.items():
        film = posters.catalog.films[row]
        digest.update(poster + f"{film.genres} {film.year}".encode())
    return digest.hexdigest()


def _read_trained(path: Path) -> tuple[PosterEncoder, int] | None:
    """A cached network, and the number of posters it was trained on; None when missing or damaged."""
    try:
        encoder = load_poster_encoder(path)
        with safe_open(path, "pt") as file:
            return encoder, int(file.metadata()[_N_POSTERS])
    except PosterWeightsError:
        return None


def _write_trained(encoder: PosterEncoder, n_posters: int, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(f".{os.getpid()}.unfinished")
    save_file(encoder.backbone.state_dict(), partial, metadata={_N_POSTERS: str(n_posters)})
    partial.replace(path)


def _train(training: PosterTraining, examples: PosterExamples, progress: Progress) -> PosterEncoder:
    steps = training.epochs * steps_per_epoch(len(examples.images))
    task = progress.add_task("Training the poster network", total=steps)

    def advance(loss: float) -> None:
        progress.update(task, advance=1, description=f"Training the poster network, loss {loss:.2f}")

    return train_poster_encoder(examples, training, advance)


def _examples(posters: Posters) -> PosterExamples | None:
    size = SCRATCH_SIZE + SCRATCH_MARGIN
    images = {row: image for row, path in posters.paths.items() if (image := read_pixels(path, size)) is not None}
    if not images:
        return None
    rows = list(images)
    eras = np.array([era_of(posters.catalog.films[row].year) for row in rows], dtype=np.int64)
    return PosterExamples(np.stack(list(images.values())), posters.catalog.genre_matrix[rows], eras)


def _hash(weights_hash: str, size: int) -> str:
    # the source and not a version number, which would be forgotten when the pixels change
    source = inspect.getsource(features.posters)
    return sha256(f"{weights_hash} {size} {source}".encode()).hexdigest()
