"""A model repository on disk: its models, their versions, and whether they changed."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import structlog
from tritonclient.grpc.model_config_pb2 import ModelConfig

log = structlog.get_logger()

_NOT_VERSIONS = {"warmup", "initial_state", "configs"}


def find_models(repositories: Iterable[Path]) -> dict[str, list[Path]]:
    """Model folders by name; more than one where repositories disagree. Hidden folders are no models."""
    found: dict[str, list[Path]] = {}
    for repository in repositories:
        for folder in sorted(repository.iterdir()):
            if folder.is_dir() and not folder.name.startswith("."):
                found.setdefault(folder.name, []).append(folder)
    return found


def versions_on_disk(model_folder: Path) -> list[int]:
    """Version numbers that have a folder, lowest first."""
    versions = []
    for folder in model_folder.iterdir():
        name = folder.name
        if not folder.is_dir() or name in _NOT_VERSIONS:
            continue
        if name.isdecimal() and (name == "0" or not name.startswith("0")):
            versions.append(int(name))
    return sorted(versions)


def versions_to_serve(config: ModelConfig, on_disk: list[int], release: int | None) -> list[int]:
    """Versions that the version policy picks, lowest first; `release` overrules it for models that have it."""
    if release is not None and release in on_disk:
        return [release]
    policy = config.version_policy
    if policy.HasField("specific"):
        missing = [version for version in policy.specific.versions if version not in on_disk]
        if missing:
            log.error("version is specified but its folder is not there", model=config.name, versions=missing)
        return sorted(set(policy.specific.versions) & set(on_disk))
    if policy.HasField("all"):
        return on_disk
    return on_disk[-policy.latest.num_versions :] if policy.latest.num_versions else []


def fingerprint(model_folder: Path) -> tuple[tuple[str, int, int], ...]:
    """Names, times and sizes of everything in a model folder: equal while nothing was changed."""
    found = []
    for path in sorted(model_folder.rglob("*")):
        try:
            stat = path.stat()
        except FileNotFoundError:  # gone meanwhile, or a link to nothing
            continue
        found.append((str(path.relative_to(model_folder)), stat.st_mtime_ns, stat.st_size))
    return tuple(found)
