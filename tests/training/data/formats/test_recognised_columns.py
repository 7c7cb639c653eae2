"""Data in columns of one's own is read where only one reading is possible, and says what was taken for what."""

from __future__ import annotations

import gzip
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest

from tests.training.data.formats.shops import FIRST_S, events, items, movielens, write
from training.data.dataset import Dataset, read_dataset
from training.data.errors import DataNotFound, TooManyDroppedRows, UnclearData

PLAIN = events()


def same_as_movielens(dataset: Dataset) -> None:
    """Assert that the events are those of `PLAIN`, with their times and stars."""
    assert len(dataset.user_ids) == 8
    assert len(dataset.catalog) == 6
    assert dataset.timed
    assert sorted(dataset.events.timestamps_s.tolist()) == [FIRST_S + 3600 * at for at in range(4, 36)]
    by_time = dataset.events.ratings[dataset.events.timestamps_s.argsort()]
    assert by_time.tolist() == [1 + at % 5 for at in range(4, 36)]


def test_movielens_own_columns_are_not_recognised_but_known(tmp_path: Path) -> None:
    dataset = read_dataset(movielens(tmp_path, PLAIN))
    assert (dataset.report.layout, dataset.report.taken_as) == ("movielens", "")
    same_as_movielens(dataset)


@pytest.mark.parametrize(
    ("factor", "words"), [(10**3, "milliseconds"), (10**6, "microseconds"), (10**9, "nanoseconds")]
)
def test_the_unit_of_times_is_recognised_by_their_size(tmp_path: Path, factor: int, words: str) -> None:
    dataset = read_dataset(movielens(tmp_path, [(u, i, r, t * factor) for u, i, r, t in PLAIN]))
    assert f"timestamp in {words} since 1970" in dataset.report.taken_as
    same_as_movielens(dataset)


@pytest.mark.parametrize(
    "pattern", ["%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%dT%H:%M:%S+00:00", "%d.%m.%Y %H:%M:%S"]
)
def test_times_as_text_are_read_in_utc(tmp_path: Path, pattern: str) -> None:
    rows = [(u, i, r, datetime.fromtimestamp(int(str(t)), UTC).strftime(pattern)) for u, i, r, t in PLAIN]
    same_as_movielens(read_dataset(movielens(tmp_path, rows)))


def test_times_with_decimals_are_whole_seconds(tmp_path: Path) -> None:
    same_as_movielens(read_dataset(movielens(tmp_path, [(u, i, r, f"{t}.0") for u, i, r, t in PLAIN])))


@pytest.mark.parametrize(
    ("scale", "given", "stars"),
    [
        ("10 points", [2, 7, 10], [1.0, 3.5, 5.0]),
        ("100 points", [20, 55, 100], [1.0, 2.75, 5.0]),
        ("likes (1) and dislikes (0)", [0, 1, 1], [1.0, 5.0, 5.0]),
        ("likes (1) and dislikes (-1)", [-1, 1, 0], [1.0, 5.0, 0.0]),
        ("counts", [1, 700, 3], [0.0, 0.0, 0.0]),
        ("counts", [1, 1, 1], [0.0, 0.0, 0.0]),
    ],
)
def test_the_scale_of_ratings_is_recognised(tmp_path: Path, scale: str, given: list[int], stars: list[float]) -> None:
    dataset = read_dataset(movielens(tmp_path, events(lambda at: given[at % 3])))
    assert f"rating as {scale}" in dataset.report.taken_as
    by_time = dataset.events.ratings[dataset.events.timestamps_s.argsort()].tolist()
    assert by_time == pytest.approx([stars[at % 3] for at in range(4, 36)])


@pytest.mark.parametrize("separator", [";", "\t", "|", "::"])
def test_the_separator_is_recognised(tmp_path: Path, separator: str) -> None:
    write(tmp_path / "interactions.csv", ("customer_id", "sku", "stars", "date"), PLAIN, separator)
    named = [(item, title, "Drama") for item, title, _ in items()]
    write(tmp_path / "products.csv", ("sku", "name", "category"), named, separator)
    dataset = read_dataset(tmp_path)
    same_as_movielens(dataset)
    assert dataset.catalog.films[0].title == "Film 1"
    assert dataset.catalog.films[0].genres == ("Drama",)


def test_decimal_commas_are_read(tmp_path: Path) -> None:
    rows = [(u, i, f"{r},5" if r != 5 else "5", t) for u, i, r, t in PLAIN]
    write(tmp_path / "ratings.csv", ("user", "item", "rating", "time"), rows, ";")
    assert sorted(set(read_dataset(tmp_path).events.ratings.tolist())) == [1.5, 2.5, 3.5, 4.5, 5.0]


def test_packed_files_are_read(tmp_path: Path) -> None:
    movielens(tmp_path, PLAIN)
    for name in ("ratings.csv", "movies.csv"):
        (tmp_path / f"{name}.gz").write_bytes(gzip.compress((tmp_path / name).read_bytes()))
        (tmp_path / name).unlink()
    same_as_movielens(read_dataset(tmp_path))


def test_utf_16_with_a_mark_is_read(tmp_path: Path) -> None:
    movielens(tmp_path, PLAIN)
    for name in ("ratings.csv", "movies.csv"):
        (tmp_path / name).write_text((tmp_path / name).read_text(), encoding="utf-16")
    same_as_movielens(read_dataset(tmp_path))


def test_one_parquet_file_is_a_data_set(tmp_path: Path) -> None:
    times = [datetime.fromtimestamp(int(str(t)), UTC) for _, _, _, t in PLAIN]
    table = {"user_id": [f"u{row[0]}" for row in PLAIN], "item_id": [row[1] for row in PLAIN]}
    pl.DataFrame({**table, "rating": [row[2] for row in PLAIN], "time": times}).write_parquet(tmp_path / "log.parquet")
    dataset = read_dataset(tmp_path / "log.parquet")
    same_as_movielens(dataset)
    assert dataset.name == "log"
    assert dataset.user_ids[0] == "u1"
    assert dataset.catalog.films[0].title == "1"


def test_a_headless_file_is_read_where_the_items_say_which_column_is_theirs(tmp_path: Path) -> None:
    write(tmp_path / "ratings.csv", (), [(u, i, r, t) for u, i, r, t in PLAIN])
    write(tmp_path / "movies.csv", ("movieId", "title", "genres"), items())
    same_as_movielens(read_dataset(tmp_path))


def test_without_times_the_rows_are_in_order(tmp_path: Path) -> None:
    dataset = read_dataset(movielens(tmp_path, [(u, i, r) for u, i, r, _ in PLAIN], "userId,movieId,rating"))
    assert not dataset.timed
    assert dataset.events.timestamps_s.tolist() == [1, 2, 3, 4] * 8
    rows = [dataset.catalog.row_of(int(str(i))) for u, i, _, _ in PLAIN]
    assert dataset.events.item_rows.tolist() == rows


def test_without_ratings_nothing_has_stars(tmp_path: Path) -> None:
    dataset = read_dataset(movielens(tmp_path, [(u, i, t) for u, i, _, t in PLAIN], "userId,movieId,timestamp"))
    assert not dataset.rated
    assert "no rating (implicit data)" in dataset.report.taken_as


@pytest.mark.parametrize(
    ("written", "separator", "genres"),
    [
        ("Drama; War", "~", ("Drama", "War")),
        ("['Drama', 'War']", "~", ("Drama", "War")),
        ('["Drama", "War"]', "~", ("Drama", "War")),
        ("[{'id': 1, 'name': 'Drama'}]", "~", ("Drama",)),
    ],
)
def test_genres_are_split_however_they_are_written(
    tmp_path: Path, written: str, separator: str, genres: tuple[str, ...]
) -> None:
    write(tmp_path / "ratings.csv", ("user", "item", "rating", "time"), PLAIN)
    table = pl.DataFrame({"item": [item for item, _, _ in items()], "genres": [written] * 6})
    table.write_csv(tmp_path / "items.csv")
    assert read_dataset(tmp_path).catalog.films[0].genres == genres


@pytest.mark.parametrize(
    ("header", "doubt"),
    [
        ("kunde,artikel,rating,time", r"kunde of ratings.csv may be people and artikel items"),
        ("user,item,rating,rating", r"has two columns called rating"),
    ],
)
def test_what_can_be_read_in_two_ways_is_refused_with_the_remedy(tmp_path: Path, header: str, doubt: str) -> None:
    write(tmp_path / "ratings.csv", header.split(","), PLAIN)
    with pytest.raises(UnclearData, match=f"{doubt}.*python -m training describe {tmp_path}"):
        read_dataset(tmp_path)


def test_days_and_months_that_cannot_be_told_apart_are_refused(tmp_path: Path) -> None:
    rows = [(u, i, r, f"0{1 + at % 9}/02/2020") for at, (u, i, r, _) in enumerate(PLAIN)]
    write(tmp_path / "ratings.csv", ("user", "item", "rating", "date"), rows)
    with pytest.raises(UnclearData, match=r"'01/02/2020' may be %d/%m/%Y or %m/%d/%Y \(time_unit\)"):
        read_dataset(tmp_path)


def test_a_table_of_items_alone_is_no_data_set(tmp_path: Path) -> None:
    write(tmp_path / "movies.csv", ("movieId", "title", "genres"), items())
    with pytest.raises(DataNotFound, match="nor another table with a person and an item in each row"):
        read_dataset(tmp_path)


def test_a_refusal_names_line_value_unit_and_remedy(tmp_path: Path) -> None:
    rows = [(u, i, r, int(str(t)) * 1000) for u, i, r, t in PLAIN]
    rows[3] = (1, 5, 4, 17)
    movielens(tmp_path, rows)
    with pytest.raises(TooManyDroppedRows) as refused:
        read_dataset(tmp_path)
    assert "1 with a time that is not in milliseconds since 1970, between 1970 and 2100 (first at line 5: '17')" in str(
        refused.value
    )
    assert "`python -m training describe` writes a data.toml" in str(refused.value)
