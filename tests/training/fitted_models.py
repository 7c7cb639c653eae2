"""All models fitted once, without a trial before."""

from __future__ import annotations

from features.catalog import Catalog
from training.content.vectors import ContentVectors
from training.data.dataset import Events
from training.fit.parallel import NO_CALLBACKS, Callbacks, TrainingThreads, results
from training.fit.runtime import IN_MEMORY, Runtime
from training.fit.trainer import FittedModels, ModelTrainer
from training.options import TrainOptions


def fit_models(
    catalog: Catalog, events: Events, content: ContentVectors, options: TrainOptions,
    callbacks: Callbacks = NO_CALLBACKS, runtime: Runtime = IN_MEMORY,
) -> FittedModels:  # fmt: skip
    """Fit everything on events in time order."""
    trainer = ModelTrainer(catalog, events, content, options, callbacks, runtime)
    closed = trainer.closed_forms()
    with trainer.networks() as networks, TrainingThreads(networks) as threads:
        curves = results(threads.train(networks))
    return trainer.models(closed, networks, curves)
