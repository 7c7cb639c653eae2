"""The schema of release.json, and the walk over a release's files."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from bento.release.loading import read_manifest as read_by_service
from export.release.manifest import read_manifest as read_by_export
from features.release_manifest import (
    CatalogFacts,
    DataFacts,
    Difference,
    FileFacts,
    FusionFacts,
    Manifest,
    ManifestError,
    ModelFacts,
    ReleaseFacts,
    differences,
)

WRITTEN = Path(__file__).with_name("release_of_format_1.json")
"""As export wrote it before this schema: the sample's release, with four of its eighteen models."""


def without(name: str) -> bytes:
    """The manifest above without a field of its release."""
    manifest = json.loads(WRITTEN.read_bytes())
    del manifest["releases"]["1"][name]
    return json.dumps(manifest).encode()


def release(models: dict[str, ModelFacts]) -> ReleaseFacts:
    data, catalog = DataFacts("tiny", "f" * 64, True, 2, 3, 4), CatalogFacts("c" * 64, 3)
    return ReleaseFacts("2030-01-01T00:00:00+00:00", data, catalog, models, FusionFacts(("ease",), {"ease": 1.0}))


def facts(files: dict[str, bytes]) -> ModelFacts:
    sealed = {name: FileFacts(hashlib.sha256(content).hexdigest(), len(content)) for name, content in files.items()}
    return ModelFacts(backend="onnxruntime", files=sealed)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    (tmp_path / "fusion" / "1").mkdir(parents=True)
    (tmp_path / "fusion" / "1" / "model.onnx").write_bytes(b"graph")
    return tmp_path


FUSION = release({"fusion": facts({"model.onnx": b"graph"})})


def test_a_release_json_of_format_1_is_read() -> None:
    manifest = Manifest.decode(WRITTEN.read_bytes())
    read = manifest.releases[1]
    assert (manifest.current, read.data.name, read.data.people, read.catalog.films) == (1, "sample", 2000, 656)
    assert read.models["user_tower_torchscript"].optional
    assert read.models["fusion"].parity.batches == (1, 2, 7, 64)
    assert read.models["retrieval"].parity is None
    assert read.fusion.presets["popularity"]["popularity"] == 1.0
    assert (read.index.kind, read.scorer) == ("flat", "dot")


def test_it_is_written_as_it_was() -> None:
    assert Manifest.decode(WRITTEN.read_bytes()).encode() == WRITTEN.read_bytes()


def test_the_service_and_export_read_the_same(tmp_path: Path) -> None:
    (tmp_path / "release.json").write_bytes(WRITTEN.read_bytes())
    assert read_by_service(tmp_path) == read_by_export(tmp_path) == Manifest.decode(WRITTEN.read_bytes())


@pytest.mark.parametrize("name", ["metrics", "coverage", "poster_weights", "recipe", "new_films", "index", "scorer"])
def test_a_release_that_does_not_say_everything_is_read(name: str) -> None:
    assert Manifest.decode(without(name)).releases[1].data.name == "sample"


@pytest.mark.parametrize("name", ["created_at", "data", "catalog", "models", "fusion"])
def test_what_a_release_must_say_is_demanded(name: str) -> None:
    with pytest.raises(ManifestError, match=f"missing required field `{name}`"):
        Manifest.decode(without(name))


def test_fields_of_later_versions_are_skipped() -> None:
    manifest = json.loads(WRITTEN.read_bytes())
    manifest["releases"]["1"]["colour"] = "red"
    assert Manifest.decode(json.dumps(manifest).encode()) == Manifest.decode(WRITTEN.read_bytes())


def test_another_format_is_refused() -> None:
    with pytest.raises(ManifestError, match="format 2, this version of Marquee reads 1"):
        Manifest.decode(b'{"format": 2, "current": null, "releases": {}}')


def test_whole_files_do_not_differ(repository: Path) -> None:
    assert differences(repository, 1, FUSION) == []


def test_a_missing_file_is_named(repository: Path) -> None:
    (repository / "fusion/1/model.onnx").unlink()
    assert differences(repository, 1, FUSION) == [Difference("fusion", "model.onnx", "is missing")]


def test_a_cut_file_is_named(repository: Path) -> None:
    (repository / "fusion/1/model.onnx").write_bytes(b"grap")
    assert differences(repository, 1, FUSION) == [Difference("fusion", "model.onnx", "has 4 bytes instead of 5")]


def test_an_altered_file_is_named(repository: Path) -> None:
    (repository / "fusion/1/model.onnx").write_bytes(b"graPh")
    (found,) = differences(repository, 1, FUSION)
    assert (found.model, found.file) == ("fusion", "model.onnx")
    assert found.what.startswith("was altered: its sha256 is ")


def test_a_missing_version_folder_is_one_difference(repository: Path) -> None:
    assert differences(repository, 2, FUSION) == [Difference("fusion", None, "has no version 2")]


def test_a_model_without_files_needs_no_folder(repository: Path) -> None:
    ensemble = ModelFacts(backend="ensemble", files={})
    assert differences(repository, 1, release({"hybrid_candidates": ensemble})) == []
