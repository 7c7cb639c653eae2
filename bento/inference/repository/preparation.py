"""Prepares a model for loading: all that its folder and configuration determine without opening it."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import mkdtemp

from tritonclient.grpc.model_config_pb2 import ModelConfig

from bento.inference.core.errors import InferenceError, LoadFailed, RepositoryFailed
from bento.inference.core.options import ServerOptions
from bento.inference.models.ensemble_validation import validate_dataflow
from bento.inference.repository.config import complete_names, fill_defaults, parse_override, read_config
from bento.inference.repository.config_validation import validate_scheduling
from bento.inference.repository.files import find_models, fingerprint, versions_on_disk, versions_to_serve


@dataclass(frozen=True, slots=True)
class LoadRequest:
    """A model to load, with the configuration and the files that the request brings."""

    name: str
    config_json: str | None = None
    """Used instead of config.pbtxt."""
    files: dict[str, bytes] = field(default_factory=dict)
    """Used instead of the model's folder: contents by path ("1/model.onnx"). Needs `config_json`."""


@dataclass(frozen=True, slots=True)
class PreparedModel:
    """A model that was found and read."""

    name: str
    folder: Path
    config: ModelConfig
    versions: tuple[int, ...]
    """To be served, lowest first."""
    fingerprint: object
    """Equal as long as nothing in the folder changes."""
    is_override: bool
    """Configuration or files came with the request: the next ordinary load undoes that."""
    own_folder: Path | None = None
    """Temporary folder of files that came with the request; removed with the model."""


class Unreadable(RepositoryFailed):
    """The model is not in the repository, or its configuration cannot be. See `cause`."""

    def __init__(self, name: str, cause: str) -> None:
        super().__init__(f"failed to load '{name}', failed to poll from model repository")
        self.cause = cause


def prepare(request: LoadRequest, options: ServerOptions) -> PreparedModel:
    """Find and read a model, and check what can be checked before opening it. Raises: Unreadable."""
    try:
        if request.files:
            return _prepare_from_files(request, options)
        folders = find_models(options.repositories).get(request.name, [])
        if len(folders) != 1:
            raise LoadFailed("not unique across all model repositories" if folders else "not found in any repository")
        return _prepare_folder(request, folders[0], options)
    except (InferenceError, OSError) as error:
        raise Unreadable(request.name, str(error)) from error


def _prepare_from_files(request: LoadRequest, options: ServerOptions) -> PreparedModel:
    if request.config_json is None:
        raise LoadFailed("Load parameter 'config' must be specified for model file override")
    folder = Path(mkdtemp(prefix="loaded-model-")).resolve()
    try:
        _write_files(request.files, folder)
        return replace(_prepare_folder(request, folder, options), own_folder=folder)
    except BaseException:
        shutil.rmtree(folder)
        raise


def _write_files(files: dict[str, bytes], folder: Path) -> None:
    for name, content in files.items():
        path = (folder / name).resolve()
        if not path.is_relative_to(folder) or path == folder:
            raise LoadFailed(
                f"Invalid file parameter 'file:{name}' with normalized path '{path}' must stay within model directory."
            )
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def _prepare_folder(request: LoadRequest, folder: Path, options: ServerOptions) -> PreparedModel:
    on_disk = versions_on_disk(folder)
    config = read_config(folder) if request.config_json is None else parse_override(request.config_json)
    complete_names(config, request.name, (folder / str(version) for version in on_disk))
    fill_defaults(config)
    validate_scheduling(config)
    if config.HasField("ensemble_scheduling"):
        validate_dataflow(config)
    if config.name != request.name:
        raise LoadFailed(
            f"unexpected directory name '{request.name}' for model '{config.name}', directory name must equal model "
            "name"
        )
    if not on_disk and options.release is not None and config.HasField("ensemble_scheduling"):
        on_disk = [options.release]  # an ensemble has no files of its own, and git keeps no empty folders
    versions = tuple(versions_to_serve(config, on_disk, options.release))
    return PreparedModel(request.name, folder, config, versions, fingerprint(folder), request.config_json is not None)
