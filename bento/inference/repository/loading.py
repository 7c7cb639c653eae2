"""Loads a prepared model: completes and checks its configuration, opens it, and warms it up."""

from __future__ import annotations

import asyncio

import structlog
from tritonclient.grpc.model_config_pb2 import ModelConfig

from bento.inference.backends.interface import ModelSource, OpenedModel
from bento.inference.backends.opening import open_model
from bento.inference.core.devices import usable_gpus
from bento.inference.core.errors import BackendFailed, InferenceError
from bento.inference.core.options import ServerOptions
from bento.inference.models.ensembles import Ensemble
from bento.inference.models.model import Model
from bento.inference.models.served_model import ServedModel
from bento.inference.repository.config import fill_defaults, fill_instance_groups, read_labels
from bento.inference.repository.config_validation import validate_instance_groups, validate_scheduling, validate_tensors
from bento.inference.repository.model_table import ModelTable
from bento.inference.repository.preparation import PreparedModel
from bento.inference.scheduling.completions import Completions

log = structlog.get_logger()


async def load_version(
    prepared: PreparedModel, version: int, options: ServerOptions, completions: Completions, table: ModelTable
) -> ServedModel:
    """Make one version ready to answer.

    Raises: LoadFailed, BackendMissing, BackendFailed.
    """
    config = ModelConfig()
    config.CopyFrom(prepared.config)
    if config.HasField("ensemble_scheduling"):
        validate_tensors(config)
        labels = read_labels(config, prepared.folder)
        return Ensemble(config, version, labels, table, release=version if options.release == version else None)
    gpus = usable_gpus(config.backend, options)
    fill_instance_groups(config, gpus)
    validate_instance_groups(config, gpus)
    source = ModelSource(
        name=prepared.name,
        version=version,
        folder=prepared.folder,
        config=config,
        options=options,
        models=table,
        is_uploaded=prepared.own_folder is not None,
        loop=asyncio.get_running_loop(),
    )
    opened: OpenedModel | None = None
    model: Model | None = None
    try:
        opened = await asyncio.to_thread(open_model, source)
        if not options.strict_model_config:
            await asyncio.to_thread(opened.complete_config, config)
            fill_defaults(config)
        validate_scheduling(config)
        validate_tensors(config)
        labels = read_labels(config, prepared.folder)
        cache = table.cache if config.response_cache.enable else None
        model = Model(config, version, labels, opened, completions, cache, prepared.folder)
        await model.start()
    except BaseException as error:
        if model is not None:
            await model.close()
        elif opened is not None:
            await asyncio.to_thread(opened.close)
        if isinstance(error, InferenceError) or not isinstance(error, Exception):
            raise
        log.exception("backend raised while loading", model=prepared.name, version=version)
        raise BackendFailed(f"{type(error).__name__}: {error}") from error
    return model
