"""The catalogue: rows, look-ups both ways, and the way to disk and back."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from features.catalog import GENRES, Catalog, Film

HEAT = Film(
    6, "Heat", 1995, ("Action", "Crime"), "Michael Mann", ("Al Pacino", "Robert De Niro"), "USA", "A cop.", ("heist",)
)
BARE = Film(40, "Untitled")
WESTERN = Film(2, "High Noon", 1952, ("Western", "Sport", "Drama"))


def test_rows_are_counted_in_the_order_given() -> None:
    catalog = Catalog(film for film in (HEAT, BARE, WESTERN))
    assert len(catalog) == 3
    assert catalog.films == (HEAT, BARE, WESTERN)
    assert [catalog.row_of(movie_id) for movie_id in (6, 40, 2)] == [0, 1, 2]
    assert catalog.row_of(0) is None
    assert catalog.movie_ids.tolist() == [6, 40, 2]
    assert catalog.movie_ids.dtype == np.int64


def test_two_films_of_one_id_are_refused() -> None:
    with pytest.raises(ValueError, match=r"^there are 3 ids but only 2 distinct ones$"):
        Catalog([HEAT, BARE, replace(BARE, movie_id=6)])


def test_genres_are_columns_and_those_that_are_unknown_are_not_counted() -> None:
    matrix = Catalog([HEAT, BARE, WESTERN]).genre_matrix
    assert (matrix.shape, matrix.dtype) == ((3, 19), np.float32)
    genres = [[GENRES[column] for column in np.flatnonzero(row)] for row in matrix]
    assert genres == [["Action", "Crime"], [], ["Drama", "Western"]]
    assert set(matrix.ravel().tolist()) == {0, 1}


def test_an_extended_catalogue_is_what_all_films_together_make() -> None:
    first = Catalog([HEAT, BARE])
    longer, made_anew = first.extended([WESTERN]), Catalog([HEAT, BARE, WESTERN])
    assert longer.films == made_anew.films
    assert [longer.row_of(film.movie_id) for film in made_anew.films] == [0, 1, 2]
    assert longer.genre_matrix.tolist() == made_anew.genre_matrix.tolist()
    assert longer.movie_ids.tolist() == made_anew.movie_ids.tolist()
    assert longer.sha256 == made_anew.sha256
    assert (len(first), first.row_of(2)) == (2, None)


@pytest.mark.parametrize("added", [[replace(WESTERN, movie_id=40)], [HEAT]])
def test_a_film_that_is_there_is_not_added_again(added: list[Film]) -> None:
    with pytest.raises(ValueError, match=r"^there are 3 ids but only 2 distinct ones$"):
        Catalog([HEAT, BARE]).extended(added)


def test_a_catalogue_comes_back_from_disk_as_it_was(tmp_path: Path) -> None:
    saved = Catalog([HEAT, BARE, WESTERN, Film("tt0111161", "Text"), Film("006", "Zeros")])
    saved.save(tmp_path / "films.json")
    loaded = Catalog.load(tmp_path / "films.json")
    assert loaded.films == saved.films
    assert hash(loaded.films) == hash(saved.films)  # tuples again, not the lists of JSON
    assert loaded.sha256 == saved.sha256
    assert [loaded.row_of(movie_id) for movie_id in (6, "6", "006", "tt0111161", "0")] == [0, 0, 4, 3, None]


@pytest.mark.parametrize(
    "other",
    [[BARE, HEAT], [HEAT], [replace(HEAT, tags=()), BARE], [replace(HEAT, year=1996), BARE]],
    ids=["order", "fewer", "tags", "year"],
)
def test_another_catalogue_has_another_hash(other: list[Film]) -> None:
    assert Catalog(other).sha256 != Catalog([HEAT, BARE]).sha256
