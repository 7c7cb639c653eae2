"""All of a release's models, fitted on one set of events."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from features.catalog import Catalog
from training.content_vectors import ContentVectors
from training.dataset import Events
from training.fit_encoders import Fit, Score, sequence_fit, two_tower_fit
from training.fitting import Curve
from training.item_features import item_features
from training.models.content_profile import content_profile
from training.models.ease import fit_ease
from training.models.fused_query import centre, fused_query
from training.models.ials import fit_ials
from training.models.popularity import fit_popularity
from training.options import TrainOptions, pick_device
from training.running import IN_MEMORY, Running

Float32 = npt.NDArray[np.float32]

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
class Watch:
    """What a fit reports to while it runs."""

    score: Score | None = None
    """Quality of (user encoder, item vectors) on held-out people; None trains without early stopping."""
    on_stage: Callable[[str, int, int, str], None] = lambda stage, done, total, note: None
    """Called with (stage, steps done, steps in all, a few words)."""
    on_epoch: Callable[[str, Curve], None] = lambda network, curve: None
    """Called with (network, its curve so far) after each epoch, from the thread that trains it."""


def fit_models(
    catalog: Catalog, events: Events, content: ContentVectors, options: TrainOptions, watch: Watch = Watch(),
    running: Running = IN_MEMORY,
) -> FittedModels:  # fmt: skip
    """Fit everything on events in time order; without `watch.score` the encoders train all their epochs."""
    n_items, device = len(catalog), pick_device(options.device)
    text, poster = content.projected_text(), content.projected_poster()
    watched = np.bincount(events.item_rows, minlength=n_items) > 0
    everything = np.ones(n_items, dtype=np.bool_)

    @contextmanager
    def stage(name: str) -> Iterator[None]:
        watch.on_stage(name, 0, 1, "")
        yield
        watch.on_stage(name, 1, 1, "")

    with stage("popularity"):
        popularity = fit_popularity(events.item_rows, events.timestamps_s, n_items, options.popularity)
    with stage("ease"):
        ease = fit_ease(events.user_rows, events.item_rows, n_items, options.ease)
    with stage("ials"):
        ials, factors = fit_ials(events.user_rows, events.item_rows, n_items, options.ials, options.seed)
    with stage("content_profile"):
        profile = content_profile(text, content.text_present, poster, content.poster_present, options.content_profile)
    features = item_features(catalog, events, content_columns(text, poster))
    with running.source(events) as source:
        mixed = running.mixed(device)
        fits = {
            "sequence_encoder": sequence_fit(source, features, options.sequence, options.seed, device, mixed),
            "user_tower": two_tower_fit(source, features, options.two_tower, options.seed, device, mixed),
        }
        curves = run_side_by_side(fits, watch, device, running)
    sequence, towers = fits["sequence_encoder"].net, fits["user_tower"].net
    item_vectors = {
        "sequence": centre(sequence.item_vectors().cpu().numpy(), everything),
        "two_tower": centre(towers.item_vectors().cpu().numpy(), everything),
        "ials": centre(factors, watched),
        "text": centre(text, content.text_present),
        "poster": centre(poster, content.poster_present),
        "popularity": centre(np.log1p(popularity)[:, None], everything),
    }
    encoders: dict[str, nn.Module] = {
        "sequence_encoder": sequence.serving().cpu(), "user_tower": towers.serving().cpu(), "ials_user": ials,
        "content_profile": profile, "ease": ease, "fusion": fused_query(item_vectors),
    }  # fmt: skip
    return FittedModels({name: module.eval() for name, module in encoders.items()}, item_vectors, popularity, curves)


def run_side_by_side(
    fits: Mapping[str, Fit], watch: Watch, device: torch.device, running: Running = IN_MEMORY
) -> dict[str, Curve]:
    """Run several trainings; on the CPU at the same time, each on one thread.

    Their matrices are small: split over two cores, each product waits for the slower one. One thread each also makes
    the result the same on every machine. On a GPU they run one after another.
    """

    def run(name: str) -> Curve:
        fit, epochs = fits[name], fits[name].loop.stop_after or fits[name].loop.epochs
        watch.on_stage(name, 0, epochs, "")

        def on_epoch(curve: Curve) -> None:
            watch.on_stage(name, len(curve.losses), epochs, describe(curve))
            watch.on_epoch(name, curve)

        return fit.run(watch.score, on_epoch, running.state_of(name))

    if device.type != "cpu":
        return {name: run(name) for name in fits}
    with ThreadPoolExecutor(len(fits), initializer=torch.set_num_threads, initargs=(1,)) as pool:
        return dict(zip(fits, pool.map(run, fits), strict=True))


def for_refit(options: TrainOptions, curves: Mapping[str, Curve]) -> TrainOptions:
    """The same options with the epochs that were best, for a refit on more events."""
    return replace(
        options,
        sequence=replace(options.sequence, stop_after=curves["sequence_encoder"].best_epochs),
        two_tower=replace(options.two_tower, stop_after=curves["user_tower"].best_epochs),
    )


def content_columns(text: Float32, poster: Float32) -> Float32:
    """(N, Dc) content vectors as item features, each kind scaled to unit mean square; absent kinds leave no column."""
    kinds: Sequence[Float32] = [vectors for vectors in (text, poster) if vectors.any()]
    if not kinds:
        return np.zeros((len(text), 0), dtype=np.float32)
    scaled = [vectors / np.sqrt((vectors**2).sum(axis=1).mean()) for vectors in kinds]
    return np.concatenate(scaled, axis=1).astype(np.float32)


def describe(curve: Curve) -> str:
    """The last epoch in a few words."""
    loss = f"loss {curve.losses[-1]:.3f}"
    return f"{loss}, NDCG@10 {curve.scores[-1]:.4f}" if curve.scores else loss


def encode(encoders: Mapping[str, nn.Module], name: str, tensors: Mapping[str, npt.NDArray[np.generic]],
           batch: int = 256) -> list[npt.NDArray[Any]]:  # fmt: skip
    """Run one serving module over rows of its inputs; returns its outputs in order."""
    module = encoders[name]
    inputs = [torch.from_numpy(np.ascontiguousarray(tensors[key])) for key in module.input_names]  # type: ignore[union-attr]
    with torch.no_grad():
        parts = [module(*[column[start : start + batch] for column in inputs])
                 for start in range(0, len(inputs[0]), batch)]  # fmt: skip
    return [torch.cat(columns).numpy() for columns in zip(*parts, strict=True)]
