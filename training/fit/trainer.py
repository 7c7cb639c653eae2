"""All of a release's models, fitted on one set of events."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from features.catalog import Catalog
from training.content.vectors import ContentVectors
from training.data.dataset import Events
from training.data.item_features import item_features
from training.fit.loop import Curve
from training.fit.networks import sequence_network, two_tower_network
from training.fit.parallel import NO_CALLBACKS, Callbacks, Networks, TrainingThreads, results
from training.fit.runtime import IN_MEMORY, Runtime
from training.models.content_profile import ContentProfile, content_profile
from training.models.ease import EaseModel, fit_ease
from training.models.fused_query import centre, fused_query
from training.models.ials import IalsUser, fit_ials
from training.models.popularity import fit_popularity
from training.options import TrainOptions, pick_device

Float32 = npt.NDArray[np.float32]

ROUNDING = 1e-5
"""Centred vectors are of length 1 or about .1; anything smaller is rounding left over from subtracting the mean."""

STAGES = ("popularity", "ease", "ials", "content_profile", "sequence_encoder", "user_tower")
"""The models in the order of their progress bars."""


@dataclass(frozen=True, slots=True)
class FittedModels:
    """Serving-ready encoders and the item vectors of every source."""

    encoders: dict[str, nn.Module]
    """Serving modules by model name, see `training.models.serving`."""
    item_vectors: dict[str, Float32]
    """Source → (N, width) centred; zeros where a film has no such vector."""
    popularity: Float32
    """(N,) weighted event counts."""
    curves: dict[str, Curve]
    """Learning curve of each trained encoder."""


@dataclass(frozen=True, slots=True)
class ClosedForms:
    """The models without epochs."""

    popularity: Float32
    ease: EaseModel
    ials: IalsUser
    factors: Float32
    """(N, D) iALS' film factors."""
    profile: ContentProfile


@dataclass(frozen=True, slots=True)
class ModelTrainer:
    """Fits all models on one set of events."""

    catalog: Catalog
    events: Events
    """In time order."""
    content: ContentVectors
    options: TrainOptions
    callbacks: Callbacks = NO_CALLBACKS
    """Without a score the networks train for all their epochs."""
    runtime: Runtime = IN_MEMORY

    @contextmanager
    def networks(self) -> Iterator[Networks]:
        """The networks, built but not trained; the events they learn from are available inside the `with`."""
        options, device = self.options, pick_device(self.options.device)
        columns = content_columns(self.content.projected_text(), self.content.projected_poster())
        features = item_features(self.catalog, self.events, columns)
        with self.runtime.source(self.events) as source:
            mixed = self.runtime.mixed(device)
            networks = {
                "sequence_encoder": sequence_network(source, features, options.sequence, options.seed, device, mixed),
                "user_tower": two_tower_network(source, features, options.two_tower, options.seed, device, mixed),
            }
            yield Networks(networks, self.callbacks, device, self.runtime)

    def closed_forms(self) -> ClosedForms:
        """Fit the models without epochs."""
        n_items, options, content = len(self.catalog), self.options, self.content
        user_rows, item_rows = self.events.user_rows, self.events.item_rows
        text, poster = content.projected_text(), content.projected_poster()
        with self._stage("popularity"):
            popularity = fit_popularity(item_rows, self.events.timestamps_s, n_items, options.popularity)
        with self._stage("ease"):
            ease = fit_ease(user_rows, item_rows, n_items, options.ease)
        with self._stage("ials"):
            ials, factors = fit_ials(user_rows, item_rows, n_items, options.ials, options.seed)
        with self._stage("content_profile"):
            profile = content_profile(
                text, content.text_present, poster, content.poster_present, options.content_profile
            )
        return ClosedForms(popularity, ease, ials, factors, profile)

    def models(self, closed: ClosedForms, networks: Networks, curves: dict[str, Curve]) -> FittedModels:
        """All models, once the networks are trained."""
        content, n_items = self.content, len(self.catalog)
        everything = np.ones(n_items, dtype=np.bool_)
        watched = np.bincount(self.events.item_rows, minlength=n_items) > 0
        sequence, towers = networks.by_name["sequence_encoder"].net, networks.by_name["user_tower"].net
        item_vectors = {
            "sequence": centre(sequence.item_vectors().cpu().numpy(), everything),
            "two_tower": centre(towers.item_vectors().cpu().numpy(), everything),
            "ials": centre(closed.factors, watched),
            "text": centre(content.projected_text(), content.text_present),
            "poster": centre(content.projected_poster(), content.poster_present),
            "popularity": centre(np.log1p(closed.popularity)[:, None], everything),
        }
        item_vectors = {source: without_rounding(vectors) for source, vectors in item_vectors.items()}
        encoders: dict[str, nn.Module] = {
            "sequence_encoder": sequence.serving().cpu(), "user_tower": towers.serving().cpu(),
            "ials_user": closed.ials, "content_profile": closed.profile, "ease": closed.ease,
            "fusion": fused_query(item_vectors),
        }  # fmt: skip
        ready = {name: module.eval() for name, module in encoders.items()}
        return FittedModels(ready, item_vectors, closed.popularity, curves)

    @contextmanager
    def _stage(self, name: str) -> Iterator[None]:
        self.callbacks.on_stage(name, 0, 1, "")
        yield
        self.callbacks.on_stage(name, 1, 1, "")


@contextmanager
def fit_twice(trial: ModelTrainer, release: ModelTrainer) -> Iterator[tuple[FittedModels, Callable[[], FittedModels]]]:
    """The trial's models, and a call that gives the release's, for use inside the `with`.

    A refit trains for the best number of epochs of its trial, and begins as soon as that trial is over, in parallel to
    trials of other networks and to the caller's evaluation of the trial's models. On a GPU, and with streamed events,
    it begins when the release's models are requested: memory does not suffice for both.
    """
    with trial.networks() as tried, release.networks() as refitted, TrainingThreads(tried) as threads:
        at_once = threads.parallel and not release.runtime.streams(release.events)
        closed = None if at_once else trial.closed_forms()
        trials = threads.train(tried)
        refits = threads.train(refitted, trials) if at_once else None
        closed = closed or trial.closed_forms()
        models = trial.models(closed, tried, results(trials))

        def refit() -> FittedModels:
            closed = release.closed_forms()
            return release.models(closed, refitted, results(refits or threads.train(refitted, trials)))

        yield models, refit


def without_rounding(vectors: Float32) -> Float32:
    """The vectors, or zeros where films differ by rounding only, as when everybody has watched the same ones."""
    return vectors if np.abs(vectors).max(initial=0) > ROUNDING else np.zeros_like(vectors)


def content_columns(text: Float32, poster: Float32) -> Float32:
    """(N, Dc) content vectors as item features, each kind scaled to unit mean square; absent kinds leave no column."""
    kinds: Sequence[Float32] = [vectors for vectors in (text, poster) if vectors.any()]
    if not kinds:
        return np.zeros((len(text), 0), dtype=np.float32)
    scaled = [vectors / np.sqrt((vectors**2).sum(axis=1).mean()) for vectors in kinds]
    return np.concatenate(scaled, axis=1).astype(np.float32)


def encode(encoders: Mapping[str, nn.Module], name: str, tensors: Mapping[str, npt.NDArray[np.generic]],
           batch: int = 256) -> list[npt.NDArray[Any]]:  # fmt: skip
    """Run one serving module over rows of its inputs; returns its outputs in order."""
    module = encoders[name]
    inputs = [torch.from_numpy(np.ascontiguousarray(tensors[key])) for key in module.input_names]  # type: ignore[union-attr]
    with torch.no_grad():
        parts = [module(*[column[start : start + batch] for column in inputs])
                 for start in range(0, len(inputs[0]), batch)]  # fmt: skip
    return [torch.cat(columns).numpy() for columns in zip(*parts, strict=True)]
