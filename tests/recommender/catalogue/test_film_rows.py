"""The table of films with what was added behind the release's: rows that keep their meaning, stand-ins, room."""

from __future__ import annotations

import numpy as np

from bento.recommender.catalogue.film_rows import FilmRows, GrowingRows
from bento.release.film_table import FilmTable
from bento.stores.film_records import FilmRecord, FilmVectors
from features.catalog import Catalog, Film
from features.history import WatchHistory
from features.sources import FUSED_WIDTH

VECTORS = np.eye(4, FUSED_WIDTH, dtype=np.float32)
RELEASED = FilmTable(
    Catalog(Film(10 + row, f"Film {row}") for row in range(4)), np.array([7, 3, 1, 0], np.float32), VECTORS, None, 4
)


def put(rows: FilmRows, movie_id: int, vector: np.ndarray, **changes: object) -> None:
    record = FilmRecord(movie_id, Film(movie_id, f"Added {movie_id}"), **changes)  # type: ignore[arg-type]
    rows.put(record, FilmVectors.of(record, vector.astype(np.float32), np.zeros(384, np.float32)))


def history(*rows: int) -> WatchHistory:
    count = len(rows)
    return WatchHistory(np.array(rows, np.int64), np.full(count, 4, np.float32), np.arange(count, dtype=np.int64))


def test_nothing_added_is_the_release_on_its_disk() -> None:
    table = FilmRows(RELEASED).table(0)
    assert np.shares_memory(table.item_vectors, VECTORS)
    assert table.added is None
    assert table.catalog.films == RELEASED.catalog.films


def test_films_keep_their_rows_whatever_happens_to_them() -> None:
    rows = FilmRows(RELEASED)
    for movie_id in (90, 91, 92):
        put(rows, movie_id, VECTORS[0])
    first = rows.table(3)
    put(rows, 90, VECTORS[1], hidden=True)
    put(rows, 91, VECTORS[2])
    later = rows.table(5)
    for table in (first, later):
        assert [table.catalog.row_of(movie_id) for movie_id in (90, 91, 92)] == [4, 5, 6]
    assert later.hidden_rows.tolist() == [4]
    np.testing.assert_array_equal(later.item_vectors[5], VECTORS[2])


def test_an_added_film_is_as_popular_as_the_average_film() -> None:
    rows = FilmRows(RELEASED)
    put(rows, 90, VECTORS[0])
    popularity = rows.table(1).popularity
    np.testing.assert_allclose(np.log1p(popularity[4]), np.log1p(RELEASED.popularity).mean(), rtol=1e-6)


def test_models_are_shown_the_released_film_most_like_an_added_one() -> None:
    rows = FilmRows(RELEASED)
    put(rows, 90, VECTORS[2] + 0.1 * VECTORS[1])
    put(rows, 91, np.zeros(FUSED_WIDTH))  # nothing is like it
    table = rows.table(2)
    shown = table.as_released(history(0, 4, 5, 1))
    assert shown.item_rows.tolist() == [0, 2, 1]
    assert shown.timestamps_s.tolist() == [0, 1, 3]
    put(rows, 90, VECTORS[3])
    assert rows.table(3).as_released(history(4)).item_rows.tolist() == [3]
    assert table.as_released(history(0, 1)).item_rows.tolist() == [0, 1]


def test_a_store_that_was_emptied_hides_what_was_added() -> None:
    rows = FilmRows(RELEASED)
    put(rows, 90, VECTORS[0])
    rows.put(FilmRecord(11, hidden=True), None)
    assert rows.table(2).hidden_rows.tolist() == [1]
    rows.forget_all()
    assert rows.table(0).hidden_rows.tolist() == [4]


def test_room_is_made_in_steps_and_nothing_is_lost() -> None:
    rows = GrowingRows(VECTORS)
    views = []
    for row in range(4, 1_000):
        rows.put(row, np.full(FUSED_WIDTH, row, np.float32))
        views.append(rows.first(row + 1))
    assert len({view.__array_interface__["data"][0] for view in views}) < 10
    np.testing.assert_array_equal(views[-1][4:, 0], np.arange(4, 1_000))
    np.testing.assert_array_equal(views[0], np.concatenate([VECTORS, [[4.0] * FUSED_WIDTH]]))
