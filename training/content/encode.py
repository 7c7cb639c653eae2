"""Encodes a data set's films: text by MiniLM, posters by ResNet50, both cached on disk."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from features.catalog import Catalog
from features.text import film_text, open_tokenizer
from training.content.cache import VectorCache
from training.content.poster_encoder import POSTER_WIDTH, PosterEncoder, encode_posters
from training.content.poster_network import FROM_CACHE_OR_SCRATCH, Posters, poster_network
from training.content.poster_training import PosterTraining
from training.content.projection import fit_projection
from training.content.text_encoder import (
    TEXT_WIDTH,
    encode_texts,
    load_text_encoder,
    packaged_model_folder,
    tokenizer_json,
)
from training.content.vectors import POSTER_PROJECTED_WIDTH, TEXT_PROJECTED_WIDTH, ContentVectors
from training.data.dataset import Dataset

__all__ = ["ContentOptions", "ContentVectors", "encode_content"]

CPU = torch.device("cpu")


@dataclass(frozen=True, slots=True)
class ContentOptions:
    """How films are encoded."""

    posters: bool = True
    """False: posters are ignored."""
    poster_weights: str = FROM_CACHE_OR_SCRATCH
    """"auto", "imagenet", "scratch", or the path of a ResNet50 state dict; see `training.content.poster_network`."""
    poster_epochs: int = 3
    """Epochs of a training from scratch."""
    seed: int = 0
    """Of a training from scratch."""
    text_encoder_folder: Path | None = None
    """A fine-tuned text encoder; None = the installed package's."""


def encode_content(
    dataset: Dataset, cache: Path, options: ContentOptions = ContentOptions(), device: torch.device = CPU
) -> ContentVectors:
    """Text and poster vectors of every film of a data set, in row order.

    cache: folder of cached vectors; only what changed since is encoded. Progress goes to standard error.
    device: where encoders compute; those that come back are on the CPU in any case. A film has text as soon as it has
    a title. Unreadable posters are counted on standard error and have no vector.

    Raises: PosterWeightsError (a DataError) when the weights asked for cannot be used; OSError when a poster cannot be
    opened.
    """
    with _progress() as progress:
        context = _EncodingContext(cache, device, progress)
        text, text_present = _encode_text(dataset.catalog, options.text_encoder_folder, context)
        images = _encode_posters(dataset, options, context)
    return ContentVectors(
        text=text,
        text_present=text_present,
        poster=images.vectors,
        poster_present=images.present,
        text_pca=fit_projection(text[text_present], TEXT_PROJECTED_WIDTH),
        poster_pca=fit_projection(images.vectors[images.present], POSTER_PROJECTED_WIDTH),
        tokenizer_json=tokenizer_json(options.text_encoder_folder),
        text_encoder_folder=options.text_encoder_folder,
        image_encoder=images.encoder,
        poster_size=images.size,
        poster_weights=images.label,
    )


@dataclass(frozen=True, slots=True)
class _EncodingContext:
    """Cache, device and progress display of one encoding."""

    cache: Path
    device: torch.device
    progress: Progress


def _encode_text(
    catalog: Catalog, encoder_folder: Path | None, context: _EncodingContext
) -> tuple[np.ndarray, np.ndarray]:
    texts = [film_text(film) for film in catalog.films]
    rows = [row for row, text in enumerate(texts) if text]
    cached = VectorCache(context.cache, "text", text_encoder_hash(encoder_folder), TEXT_WIDTH)

    def encode(indexes: list[int]) -> np.ndarray:
        task = context.progress.add_task("Encoding film texts", total=len(indexes))
        tokenizer = open_tokenizer(tokenizer_json(encoder_folder))
        encoder = load_text_encoder(encoder_folder).to(context.device)
        wanted = [texts[rows[index]] for index in indexes]
        return encode_texts(encoder, tokenizer, wanted, lambda done: context.progress.advance(task, done))

    vectors = np.zeros((len(texts), TEXT_WIDTH), dtype=np.float32)
    present = np.zeros(len(texts), dtype=np.bool_)
    vectors[rows] = cached.vectors([hashlib.sha256(texts[row].encode()).digest() for row in rows], encode)
    present[rows] = True
    return vectors, present


def text_encoder_hash(folder: Path | None) -> str:
    """Changes with everything that changes the vector of a text."""
    weights = (folder or packaged_model_folder()) / "model.safetensors"
    return hashlib.sha256(weights.read_bytes() + tokenizer_json(folder)).hexdigest()


@dataclass(frozen=True, slots=True)
class _EncodedPosters:
    vectors: np.ndarray
    present: np.ndarray
    encoder: PosterEncoder | None = None
    size: int = 0
    label: str = "none: no posters"


def _encode_posters(dataset: Dataset, options: ContentOptions, context: _EncodingContext) -> _EncodedPosters:
    vectors = np.zeros((len(dataset.catalog), POSTER_WIDTH), dtype=np.float32)
    present = np.zeros(len(dataset.catalog), dtype=np.bool_)
    if not options.posters or not dataset.poster_paths:
        return _EncodedPosters(vectors, present)
    posters = Posters.read(dataset.catalog, dataset.poster_paths)
    training = PosterTraining(options.poster_epochs, options.seed, context.device)
    network = poster_network(options.poster_weights, training, posters, context.cache, context.progress)
    if network is None:
        context.progress.console.print(f"none of {len(posters.paths)} posters can be read")
        return _EncodedPosters(vectors, present)
    cached = VectorCache(context.cache, "poster", network.hash, POSTER_WIDTH)
    rows = list(posters.paths)

    def encode(indexes: list[int]) -> np.ndarray:
        task = context.progress.add_task("Encoding posters", total=len(indexes))
        wanted = [posters.paths[rows[index]] for index in indexes]
        encoder = network.encoder.to(context.device)
        return encode_posters(encoder, wanted, network.size, lambda done: context.progress.advance(task, done))

    vectors[rows] = cached.vectors(list(posters.digests.values()), encode)
    present[:] = vectors.any(axis=1)
    if unreadable := len(rows) - int(present.sum()):
        context.progress.console.print(f"{unreadable} of {len(rows)} posters cannot be read and are left out")
    return _EncodedPosters(vectors, present, network.encoder.cpu(), network.size, network.label)


@contextmanager
def _progress() -> Iterator[Progress]:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        yield progress
