"""What a release must be to be served, and what is said about one that is not."""

from __future__ import annotations

import hashlib
import importlib.util
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from bento.release.loading import NoRelease, ReleaseDamaged, ReleaseMixed, check_release, load_release
from features.catalog import Catalog, Film
from features.sources import SOURCES
from tests.recommender import genre_world


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    genre_world.write_release(tmp_path)
    return tmp_path


def edit_manifest(repository: Path, edit: Callable[[dict], object]) -> None:  # type: ignore[type-arg]
    path = repository / "release.json"
    manifest = json.loads(path.read_text())
    edit(manifest)
    path.write_text(json.dumps(manifest))


def seal_again(repository: Path, name: str) -> None:
    """Give a file of `retrieval/1` its true size and checksum, so that only its content is wrong."""
    content = (repository / "retrieval" / "1" / name).read_bytes()
    entry = {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
    edit_manifest(repository, lambda m: m["releases"]["1"]["models"]["retrieval"]["files"].update({name: entry}))


def test_a_whole_release_loads(repository: Path) -> None:
    release = load_release(repository)
    assert (release.number, len(release.catalog)) == (1, genre_world.N_FILMS)
    assert release.popularity.tolist() == genre_world.POPULARITY.tolist()
    assert release.weights.tolist() == pytest.approx([1, 1, 1, 1, 1, 0.1, 1])
    assert release.presets["popular"].tolist() == [float(source == "popularity") for source in SOURCES]
    assert release.films.text_vectors.shape == (genre_world.N_FILMS, 128)


def test_known_people_come_with_their_histories(repository: Path) -> None:
    people = load_release(repository).people
    assert len(people) == len(genre_world.PEOPLE)
    history = people.history_of("ann")
    assert history.item_rows.tolist() == [3, 4]
    assert history.ratings.tolist() == [4.0, 4.0]
    assert history.timestamps_s.tolist() == [86_400, 2 * 86_400]
    assert len(people.history_of("nobody").item_rows) == 0


def test_a_release_without_histories_knows_nobody(tmp_path: Path) -> None:
    genre_world.write_release(tmp_path, people=None)
    people = load_release(tmp_path).people
    assert len(people) == 0
    assert len(people.history_of("ann").item_rows) == 0


def test_an_optional_model_may_be_absent(repository: Path) -> None:
    assert not (repository / "user_tower_torchscript").exists()
    assert check_release(repository)[0] == 1


def test_an_absent_optional_model_is_not_loaded(repository: Path) -> None:
    assert "user_tower_torchscript" not in load_release(repository).servable_models()
    assert "fusion" in load_release(repository).servable_models()
    assert load_release(repository).models_left_out() == {
        "user_tower_torchscript": "it is optional, and this release holds no files of it"
    }


def test_a_torchscript_model_is_loaded_only_where_torch_is(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (repository / "user_tower_torchscript" / "1").mkdir(parents=True)
    (repository / "user_tower_torchscript" / "1" / "model.pt").write_bytes(b"0")
    entry = {"sha256": hashlib.sha256(b"0").hexdigest(), "bytes": 1}
    edit_manifest(
        repository, lambda m: m["releases"]["1"]["models"]["user_tower_torchscript"].update(files={"model.pt": entry})
    )
    release = load_release(repository)
    for there in (True, False):
        monkeypatch.setattr(importlib.util, "find_spec", lambda _, there=there: object() if there else None)
        assert ("user_tower_torchscript" in release.servable_models()) is there
        assert ("needs torch" in release.models_left_out().get("user_tower_torchscript", "")) is not there


def test_an_ensemble_needs_no_folder(repository: Path) -> None:
    ensemble = {"backend": "ensemble", "optional": False, "files": {}}
    edit_manifest(repository, lambda m: m["releases"]["1"]["models"].update(hybrid_candidates=ensemble))
    assert "hybrid_candidates" in load_release(repository).servable_models()


def test_the_current_release_is_served_unless_another_is_asked_for(repository: Path) -> None:
    genre_world.write_release(repository, number=2)
    assert load_release(repository).number == 2
    assert load_release(repository, 1).number == 1


def test_an_empty_repository_says_how_to_fill_it(tmp_path: Path) -> None:
    with pytest.raises(NoRelease, match=r"no release\.json\. `make serve` trains and exports one"):
        load_release(tmp_path)


def test_an_unknown_release_names_those_that_exist(repository: Path) -> None:
    with pytest.raises(NoRelease, match=r"release 9 is not in release\.json \(it lists 1\)"):
        load_release(repository, 9)


@pytest.mark.parametrize("content", ["", "{", '{"format": 1}', '{"format": 1, "current": "one", "releases": {}}'])
def test_an_unreadable_manifest_is_damaged(repository: Path, content: str) -> None:
    (repository / "release.json").write_text(content)
    with pytest.raises(ReleaseDamaged, match=r"release\.json"):
        load_release(repository)


def test_a_later_format_is_refused(repository: Path) -> None:
    edit_manifest(repository, lambda manifest: manifest.update(format=2))
    with pytest.raises(ReleaseDamaged, match="format 2, this version of Marquee reads 1"):
        load_release(repository)


@pytest.mark.parametrize(
    "part",
    ["sequence_encoder/1/model.onnx", "ease/1/model.onnx", "retrieval/1/popularity.npy", "retrieval/1/histories.npz"],
)
def test_a_flipped_bit_is_damage_and_the_part_is_named(repository: Path, part: str) -> None:
    content = bytearray((repository / part).read_bytes())
    content[-1] ^= 1
    (repository / part).write_bytes(content)
    with pytest.raises(ReleaseDamaged, match=f"release 1 is damaged: {part}: was altered: its sha256"):
        load_release(repository)


def test_a_cut_file_is_damage(repository: Path) -> None:
    part = repository / "fusion/1/model.onnx"
    part.write_bytes(part.read_bytes()[:-1])
    with pytest.raises(ReleaseDamaged, match=r"fusion/1/model\.onnx: has 18 bytes instead of 19"):
        load_release(repository)


def test_a_missing_file_is_damage(repository: Path) -> None:
    (repository / "fusion/1/model.onnx").unlink()
    with pytest.raises(ReleaseDamaged, match=r"fusion/1/model\.onnx: is missing"):
        load_release(repository)


def test_a_model_without_this_version_is_a_mix(repository: Path) -> None:
    (repository / "fusion" / "1").rename(repository / "fusion" / "2")
    with pytest.raises(ReleaseMixed, match="fusion: has no version 1"):
        load_release(repository)


def test_a_model_of_another_release_is_found_out(repository: Path) -> None:
    genre_world.write_release(repository, number=2)
    (repository / "fusion/1/model.onnx").write_bytes((repository / "fusion/2/model.onnx").read_bytes())
    with pytest.raises(ReleaseDamaged, match=r"release 1 is damaged: fusion/1/model\.onnx"):
        load_release(repository, 1)


def test_another_catalogue_is_a_mix_even_with_a_matching_checksum(repository: Path) -> None:
    Catalog([Film(1, "Another film")]).save(repository / "retrieval/1/catalog.json")
    seal_again(repository, "catalog.json")
    with pytest.raises(ReleaseMixed, match=r"catalog\.json: hash"):
        load_release(repository)


@pytest.mark.parametrize("name", ["popularity.npy", "item_vectors.npy"])
def test_arrays_of_another_catalogue_are_a_mix(repository: Path, name: str) -> None:
    np.save(
        repository / "retrieval/1" / name,
        np.zeros((3, 385), dtype=np.float32)[:, 0] if "pop" in name else np.zeros((3, 385)),
    )
    seal_again(repository, name)
    with pytest.raises(ReleaseMixed, match=rf"{name}: shape \(3,.*for 24 films"):
        load_release(repository)


def test_histories_with_films_beyond_the_catalogue_are_a_mix(repository: Path) -> None:
    path = repository / "retrieval/1/histories.npz"
    arrays = dict(np.load(path))
    arrays["item_rows"][0] = 24
    np.savez(path, **arrays)
    seal_again(repository, "histories.npz")
    with pytest.raises(ReleaseMixed, match=r"histories\.npz: row 24 for 24 films"):
        load_release(repository)


def test_weights_of_other_sources_are_refused(repository: Path) -> None:
    edit_manifest(repository, lambda m: m["releases"]["1"]["fusion"]["weights"].update(tarot=1))
    with pytest.raises(ReleaseDamaged, match=r"fusion weights: unknown sources \['tarot'\]"):
        load_release(repository)


def test_another_order_of_sources_is_a_mix(repository: Path) -> None:
    edit_manifest(repository, lambda m: m["releases"]["1"]["fusion"]["sources"].reverse())
    with pytest.raises(ReleaseMixed, match="fusion: sources"):
        load_release(repository)
