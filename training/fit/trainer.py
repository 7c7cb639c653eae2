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
from training.fit.networks import sequence_fit, two_tower_fit
from training.fit.parallel import UNWATCHED, Lanes, Networks, Watch, results
from training.fit.runtime import IN_MEMORY, Running
from training.models.content_profile import ContentProfile, content_profile
from training.models.ease import EaseModel, fit_ease
from training.models.fused_query import centre, fused_query
from training.models.ials import IalsUser, fit_ials
from training.models.popularity import fit_popularity
from training.options import TrainOptions, pick_device

Float32 = npt.NDArray[np.float32]

ROUNDING = 1e-5
"""Centred vectors are of length 1 or about .1; what is all smaller is left over from taking the mean off."""

STAGES = ("popularity", "ease", "ials", "content_profile", "sequence_encoder", "user_tower")
"""What `fit_models` fits, in this order."""


@dataclass(frozen=True, slots=True)
class FittedModels:
    """Serving-ready encoders and the films' side of every source."""

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
    """(N, D) iALS' side of the films."""
    profile: ContentProfile


@dataclass(frozen=True, slots=True)
class Fitting:
    """One fit of all models: on which events, how, and who watches."""

    catalog: Catalog
    events: Events
    """In time order."""
    content: ContentVectors
    options: TrainOptions
    watch: Watch = UNWATCHED
    """Without a score the networks train all their epochs."""
    running: Running = IN_MEMORY

    @contextmanager
    def networks(self) -> Iterator[Networks]:
        """The networks, made but not trained; what they learn from is there inside the `with`."""
        options, device = self.options, pick_device(self.options.device)
        columns = content_columns(self.content.projected_text(), self.content.projected_poster())
        features = item_features(self.catalog, self.events, columns)
        with self.running.source(self.events) as source:
            mixed = self.running.mixed(device)
            fits = {
                "sequence_encoder": sequence_fit(source, features, options.sequence, options.seed, device, mixed),
                "user_tower": two_tower_fit(source, features, options.two_tower, options.seed, device, mixed),
            }
            yield Networks(fits, self.watch, device, self.running)

    def closed_forms(self) -> ClosedForms:
        """Fit everything else."""
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
        sequence, towers = networks.fits["sequence_encoder"].net, networks.fits["user_tower"].net
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
        self.watch.on_stage(name, 0, 1, "")
        yield
        self.watch.on_stage(name, 1, 1, "")


def fit_models(
    catalog: Catalog, events: Events, content: ContentVectors, options: TrainOptions, watch: Watch = UNWATCHED,
    running: Running = IN_MEMORY,
) -> FittedModels:  # fmt: skip
    """Fit everything on events in time order."""
    fitting = Fitting(catalog, events, content, options, watch, running)
    closed = fitting.closed_forms()
    with fitting.networks() as networks, Lanes(networks) as lanes:
        curves = results(lanes.train(networks))
    return fitting.models(closed, networks, curves)


@contextmanager
def fit_twice(trial: Fitting, release: Fitting) -> Iterator[tuple[FittedModels, Callable[[], FittedModels]]]:
    """The trial's models, and a call that gives the release's, for use inside the `with`.

    A refit takes as many epochs as the network's trial found best, and begins as soon as that trial is over: while
    other networks are still being tried, and while the caller judges the trial's models. Only on a GPU, and with
    events that are streamed, it begins when the release's models are asked for: memory would not do for both.
    """
    with trial.networks() as tried, release.networks() as refitted, Lanes(tried) as lanes:
        at_once = lanes.parallel and not release.running.streams(release.events)
        closed = None if at_once else trial.closed_forms()
        trials = lanes.train(tried)
        refits = lanes.train(refitted, trials) if at_once else None
        closed = closed or trial.closed_forms()
        models = trial.models(closed, tried, results(trials))

        def refit() -> FittedModels:
            closed = release.closed_forms()
            return release.models(closed, refitted, results(refits or lanes.train(refitted, trials)))

        yield models, refit


def without_rounding(vectors: Float32) -> Float32:
    """The vectors, or zeros where rounding is all that tells the films apart: everybody has watched the same ones."""
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
