"""Vectors of people and films as files, read back."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import orjson
import polars as pl
import pytest

from features.catalog import Catalog, Film
from features.history import WatchHistory
from training.ranking.embeddings import Embeddings, embed, write_embeddings

FILMS = np.array([[1, 0], [0, 2], [3, 3]], dtype=np.float32)


def history(*rows: int) -> WatchHistory:
    return WatchHistory(np.array(rows), np.full(len(rows), 4, np.float32), np.arange(len(rows)) + 1)


@pytest.fixture
def embeddings() -> Embeddings:
    """Two people whose vector, in a space of two dimensions, is (films watched, newest film's token)."""

    def encode(name: str, tensors: dict[str, np.ndarray]) -> list[np.ndarray]:
        assert name == "user_tower"
        watched = tensors["history"]
        return [np.stack([(watched > 0).sum(1), watched.max(1)], axis=1).astype(np.float32)]

    catalog = Catalog([Film(4, "Heat", 1995, ("Crime",)), Film(5, "Alien", None), Film(9, "Up", 2009)])
    vectors = {"two_tower": FILMS, "poster": np.zeros((3, 64), dtype=np.float32)}
    return embed({"release": 3}, catalog, vectors, (["7", "x"], [history(0, 2), history(1)]), encode)


def test_arrays_hold_a_row_for_each_person_and_film(embeddings: Embeddings, tmp_path: Path) -> None:
    write_embeddings(embeddings, tmp_path)

    np.testing.assert_array_equal(np.load(tmp_path / "movies_two_tower.npy"), FILMS)
    np.testing.assert_array_equal(np.load(tmp_path / "users_two_tower.npy"), [[2, 3], [1, 2]])


def test_tables_hold_the_vectors_beside_ids_and_titles(embeddings: Embeddings, tmp_path: Path) -> None:
    write_embeddings(embeddings, tmp_path)
    people, films = pl.read_parquet(tmp_path / "users.parquet"), pl.read_parquet(tmp_path / "movies.parquet")

    assert people["user_id"].to_list() == ["7", "x"]
    assert people["events"].to_list() == [2, 1]
    np.testing.assert_array_equal(people["two_tower"].to_numpy(), [[2, 3], [1, 2]])
    assert films["movie_id"].to_list() == [4, 5, 9]
    assert films["year"].to_list() == [1995, None, 2009]
    np.testing.assert_array_equal(films["two_tower"].to_numpy(), FILMS)


def test_metadata_say_where_the_vectors_come_from(embeddings: Embeddings, tmp_path: Path) -> None:
    write_embeddings(embeddings, tmp_path)
    facts = orjson.loads((tmp_path / "embeddings.json").read_bytes())

    assert (facts["release"], facts["people"], facts["films"]) == (3, 2, 3)
    assert facts["catalog_sha256"] == embeddings.catalog.sha256
    assert facts["sources"]["two_tower"]["width"] == 2
    assert facts["sources"]["two_tower"]["films_with_vector"] == 3


def test_a_source_without_a_film_vector_is_left_out(embeddings: Embeddings, tmp_path: Path) -> None:
    written = {path.name for path in write_embeddings(embeddings, tmp_path)}

    assert "movies_poster.npy" not in written
    assert "poster" not in pl.read_parquet(tmp_path / "movies.parquet").columns
