"""What an export of a tiny training writes."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import pytest

from export.errors import DataChanged, ParityFailed
from export.graphs import networks
from export.layout import IMAGE_MODELS, MODELS, copy_missing_configs
from export.release import build
from export.release.build import Build, PublishOptions, export_release, released_models
from export.release.histories import visible_events, write_histories
from export.release.manifest import read_manifest
from export.release.publish import open_draft
from export.release.validate import validate
from features.catalog import Catalog
from features.sources import SOURCES, source_slices
from tests.export.tiny_world import N_FILMS, TinyWorld, tiny_world
from training.data.dataset import Events


def test_a_fresh_release_is_whole(exported: Path) -> None:
    assert validate(exported) == []
    assert set(read_manifest(exported).releases[1].models) == set(MODELS)


def test_every_network_has_its_proof(exported: Path) -> None:
    models = read_manifest(exported).releases[1].models
    proven = {name for name, facts in models.items() if facts.parity}
    assert proven == {name for name, facts in models.items() if facts.backend in {"onnxruntime", "pytorch"}}
    assert models["sequence_encoder"].parity.batches == (1, 2, 7, 64)
    assert models["image_encoder"].parity.batches == (1, 2, 7, 16)


def test_release_json_tells_where_the_release_comes_from(exported: Path, world: TinyWorld) -> None:
    release = read_manifest(exported).releases[1]
    assert release.data.name == "tiny"
    assert release.data.simulated
    assert release.catalog.sha256 == world.trained.catalog.sha256
    assert release.fusion.sources == SOURCES
    assert release.coverage == {"text": 1.0, "poster": 20 / N_FILMS}
    assert release.poster_weights == "none of a network: mean colours"
    assert release.metrics == world.trained.metrics


def test_index_rows_are_catalogue_rows(exported: Path, world: TinyWorld) -> None:
    folder = exported / "retrieval" / "1"
    index = faiss.read_index(str(folder / "items.index"))
    vectors = np.load(folder / "item_vectors.npy")
    assert Catalog.load(folder / "catalog.json").films == world.trained.catalog.films
    np.testing.assert_array_equal(index.reconstruct_n(0, N_FILMS), vectors)
    for source, columns in source_slices().items():
        np.testing.assert_array_equal(vectors[:, columns], world.trained.item_vectors[source])


def test_histories_are_back_to_back_by_person(exported: Path) -> None:
    with np.load(exported / "retrieval" / "1" / "histories.npz", allow_pickle=False) as histories:
        assert histories["user_ids"].tolist() == ["7", "8", "9", "x"]
        assert histories["offsets"].tolist() == [0, 3, 6, 9, 12]
        assert histories["item_rows"].tolist() == list(range(12))
        assert histories["timestamps_s"].tolist() == [1_000_000_000 + n for n in range(12)]


def test_graphs_hold_no_path_of_this_machine(exported: Path) -> None:
    for graph in exported.glob("*/1/model.onnx"):
        content = graph.read_bytes()
        assert b"tiny_world" not in content
        assert b"site-packages" not in content


def test_without_posters_the_image_models_are_left_out(tmp_path: Path) -> None:
    world = tiny_world(tmp_path, with_posters=False)
    assert set(MODELS) - set(released_models(world.trained)) == set(IMAGE_MODELS)
    copy_missing_configs(tmp_path)
    draft = open_draft(tmp_path)
    Build(world.trained, world.dataset, world.dataset.events, draft).write("retrieval")
    assert np.load(draft.folder("retrieval") / "poster_vectors.npy").shape == (N_FILMS, 0)
    assert not np.load(draft.folder("retrieval") / "poster_present.npy").any()


def test_data_that_were_not_trained_on_are_refused(world: TinyWorld, tmp_path: Path) -> None:
    fewer = Events(*(getattr(world.dataset.events, field.name)[:-1] for field in fields(Events)))
    with pytest.raises(DataChanged, match="the training saw 12 events, this data set has 11"):
        export_release(world.trained, replace(world.dataset, events=fewer), tmp_path, PublishOptions())
    assert read_manifest(tmp_path).releases == {}


def test_what_was_held_out_of_training_is_held_out_of_histories(world: TinyWorld) -> None:
    facts = replace(world.trained.facts, hold_out="last1", events=8)
    seen = visible_events(replace(world.trained, facts=facts), world.dataset, seed=0)
    assert seen.item_rows.tolist() == [0, 1, 3, 4, 6, 7, 9, 10]


def test_people_without_events_are_left_out_of_histories(tmp_path: Path) -> None:
    rows, ratings, times = np.array([5, 6], np.int32), np.array([4, 3], np.float32), np.array([1, 2])
    write_histories(tmp_path / "h.npz", ("a", "nobody", "c"), Events(np.array([0, 2], np.int32), rows, ratings, times))
    with np.load(tmp_path / "h.npz") as histories:
        assert histories["user_ids"].tolist() == ["a", "c"]
        assert histories["offsets"].tolist() == [0, 1, 2]


def test_times_that_the_data_do_not_have_are_not_known_in_histories(tmp_path: Path) -> None:
    order = Events(np.zeros(2, np.int32), np.array([5, 6], np.int32), np.zeros(2, np.float32), np.array([1, 2]))
    write_histories(tmp_path / "h.npz", ("a",), order, timed=False)
    with np.load(tmp_path / "h.npz") as histories:
        assert histories["item_rows"].tolist() == [5, 6]
        assert histories["timestamps_s"].tolist() == [0, 0]


def test_an_unproven_release_is_not_published(world: TinyWorld, repository: Path, monkeypatch: Any) -> None:
    def refuse(trained: Any, run: Any, tolerance: float) -> None:
        raise ParityFailed("text_encoder", "the stored vector of item_row 3", 0.5, 1e-4)

    monkeypatch.setattr(networks, "check_stored_texts", refuse)
    monkeypatch.setattr(build, "released_models", lambda trained, index: ["tokenizer", "text_encoder"])
    with pytest.raises(ParityFailed, match=r"text_encoder: the stored vector of item_row 3 differs by 0\.5"):
        export_release(world.trained, world.dataset, repository, PublishOptions())
    assert read_manifest(repository).current == 1
    assert validate(repository) == []
