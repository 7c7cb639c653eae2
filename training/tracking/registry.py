"""The MLflow model registry: a version for each release of a tracked training, and the alias of the served one."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import structlog

from training.tracking.runs import SERVED, Store, run_of

log = structlog.get_logger()


def register_release(store: Store, checkpoint: Path, data: str, repository: Path, number: int) -> str | None:
    """Add a version for a release that was just published, and give it the alias; None when it was not tracked.

    data: name of the data set: releases of one data set are versions of one model. Returns the version.
    Errors of MLflow are logged, not raised: a release is served whether or not the registry can be reached.
    """
    run_id = run_of(checkpoint, store)
    if run_id is None:
        return None
    from mlflow.exceptions import MlflowException

    try:
        client, name = store.client(), model_name(data)
        _ensure_model(client, name)
        source = f"{client.get_run(run_id).info.artifact_uri}/checkpoint"
        tags = {"release": str(number), "repository": str(repository.resolve())}
        version = client.create_model_version(name, source=source, run_id=run_id, tags=tags).version
        client.set_registered_model_alias(name, SERVED, version)
    except MlflowException as error:
        log.warning("registry_failed", release=number, error=str(error), goes_on="unregistered")
        return None
    return str(version)


def serve_release(store: Store, data: str, repository: Path, number: int) -> str | None:
    """Move the alias to the version of another release of the repository; None when it was never registered."""
    from mlflow.exceptions import MlflowException

    try:
        client, name = store.client(), model_name(data)
        wanted = {"release": str(number), "repository": str(repository.resolve())}
        versions = client.search_model_versions(f"name = '{name}'")
        found = [one.version for one in versions if wanted.items() <= dict(one.tags).items()]
        if not found:
            return None
        newest = max(found, key=int)
        client.set_registered_model_alias(name, SERVED, newest)
    except MlflowException as error:
        log.warning("registry_failed", release=number, error=str(error), goes_on="with the old alias")
        return None
    return str(newest)


def model_name(data: str) -> str:
    """The registered model of a data set."""
    return "marquee-" + re.sub(r"[^A-Za-z0-9._-]", "-", data)


def _ensure_model(client: Any, name: str) -> None:
    from mlflow.exceptions import MlflowException

    try:
        client.create_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
