"""Trains a poster network from scratch on the given posters, for machines without ImageNet weights.

The network predicts genres and era of a poster. It knows far less than ImageNet weights do, and is labelled as such;
it lets images be embedded on a machine without network access.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from training.content.poster_encoder import POSTER_WIDTH, PosterEncoder

CPU = torch.device("cpu")

SCRATCH_SIZE = 64
"""S when training from scratch: 12 times less work than ImageNet's 224, and enough to see colour and shapes."""

SCRATCH_MARGIN = 8
"""Pixels by which training images are larger than S, for random crops."""

ERAS = (1950, 1970, 1980, 1990, 2000, 2010)
"""First years of all eras but the first."""

_PEAK_RATE = 1e-3
_ERA_WEIGHT = 0.5
_NO_ERA = -1


@dataclass(frozen=True, slots=True)
class PosterExamples:
    """The training set.

    images: (n, 3, S + margin, S + margin) float32, as `features.posters.pixels` gives them.
    genres: (n, G) float32, 1 where the film has the genre. eras: (n,) int64 index, -1 where the year is not known.
    """

    images: npt.NDArray[np.float32]
    genres: npt.NDArray[np.float32]
    eras: npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class PosterTraining:
    """Length, seed and device of the training."""

    epochs: int
    seed: int = 0
    device: torch.device = CPU


def era_of(year: int | None) -> int:
    """Index of a year's era, 0..len(ERAS); -1 when the year is not known."""
    return _NO_ERA if year is None else int(np.searchsorted(ERAS, year, side="right"))


def train_poster_encoder(
    examples: PosterExamples, training: PosterTraining, advance: Callable[[float], None] = lambda loss: None
) -> PosterEncoder:
    """Train ResNet50 on genres (several a film) and era together; returns the encoder, on the CPU, without classifier.

    Equal training sets, epochs and seeds give the same network on the same machine. advance: called with the loss of
    each step; there are `epochs * steps_per_epoch(n)` steps. Torch's global random state is not changed.
    """
    with torch.random.fork_rng(devices=[training.device] if training.device.type == "cuda" else []):
        torch.manual_seed(training.seed)
        return _train(examples, training, advance)


BATCH_SIZE = 16
"""Small, for many steps in little time: a training lasts minutes on two cores."""


def steps_per_epoch(n: int) -> int:
    """Batches of an epoch over n posters; a remainder is left to the next epoch's shuffle."""
    return max(1, n // BATCH_SIZE)


def _train(examples: PosterExamples, training: PosterTraining, advance: Callable[[float], None]) -> PosterEncoder:
    device = training.device
    encoder = PosterEncoder().train().to(device)
    encoder.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stubs lack this form
    classifier = nn.Linear(POSTER_WIDTH, examples.genres.shape[1] + len(ERAS) + 1).to(device)
    parameters = [*encoder.parameters(), *classifier.parameters()]
    images, eras = torch.from_numpy(examples.images), torch.from_numpy(examples.eras)
    genres = torch.from_numpy(genre_targets(examples.genres))
    steps = steps_per_epoch(len(images))
    optimizer = torch.optim.AdamW(parameters, lr=_PEAK_RATE, weight_decay=0.05, fused=True)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, max_lr=_PEAK_RATE, total_steps=training.epochs * steps, pct_start=0.1
    )
    for _ in range(training.epochs):
        order = torch.randperm(len(images))
        for step in range(steps):
            rows = order[step * BATCH_SIZE : (step + 1) * BATCH_SIZE]
            outputs = classifier(encoder.features(_augment(images[rows]).to(device)))
            loss = _loss(outputs, genres[rows].to(device), eras[rows].to(device))
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            schedule.step()
            advance(float(loss.detach()))
    encoder.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]  # as files and exporters want it
    return encoder.cpu().eval()


def genre_targets(genres: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """(n, G) genres as shares that sum to 1 for each film, a rare genre's share larger; zeros for a film without any.

    Half of all films are dramas, which says little of a poster; that a film is a western says nearly everything. The
    share of a genre is in proportion to one over how many posters have it.
    """
    rarity = 1 / np.maximum(genres.sum(axis=0), 1)
    weighted = genres * rarity
    return np.asarray(weighted / np.maximum(weighted.sum(axis=1, keepdims=True), 1e-9), dtype=np.float32)


def _augment(images: Tensor) -> Tensor:
    """Cut S x S out at a random place, mirror half of the batches."""
    top, left = torch.randint(0, SCRATCH_MARGIN + 1, (2,)).tolist()
    size = images.shape[-1] - SCRATCH_MARGIN
    cut = images[:, :, top : top + size, left : left + size]
    if torch.rand(()) < 0.5:
        cut = cut.flip(3)
    return cut.contiguous(memory_format=torch.channels_last)


def _loss(outputs: Tensor, genres: Tensor, eras: Tensor) -> Tensor:
    n_genres = genres.shape[1]
    genre_loss = nn.functional.cross_entropy(outputs[:, :n_genres], genres)
    if not (eras != _NO_ERA).any():
        return genre_loss
    return genre_loss + _ERA_WEIGHT * nn.functional.cross_entropy(outputs[:, n_genres:], eras, ignore_index=_NO_ERA)
