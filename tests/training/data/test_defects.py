"""What is wrong with data is counted, reported with its line, and refused past a limit."""

from __future__ import annotations

from pathlib import Path

import pytest

from training.data.dataset import Dataset, read_dataset
from training.data.errors import MissingColumns, NothingLeft, TooManyDroppedRows, UnreadableTable
from training.data.read_report import (
    BAD_TIMESTAMP,
    BROKEN,
    DUPLICATE,
    EMPTY_TEXT,
    RATING_OUT_OF_RANGE,
    UNKNOWN_FILM,
    ReadLimits,
)

HEADER = "userId,movieId,rating,timestamp\n"
MOVIES = "movieId,title,genres\n" + "".join(f"{i},Film {i} (19{i}),Drama\n" for i in range(10, 20))
ANYTHING_GOES = ReadLimits(max_dropped_ratio=1.0)


def read(folder: Path, limits: ReadLimits | None = ANYTHING_GOES, movies: str = MOVIES, **tables: str) -> Dataset:
    """Write and read a folder; `ratings`, `tags` and `metadata` are the tables' lines with their headers."""
    for name, text in {"movies": movies, "ratings": HEADER + "1,10,4.0,100\n", **tables}.items():
        (folder / f"{name}.csv").write_text(text, encoding="utf-8")
    return read_dataset(folder, limits)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("1,eleven,4.0,100", UNKNOWN_FILM),
        ("1,,4.0,100", BROKEN),
        ("1,11", BROKEN),
        ("1,11,4.0,100,and more", BROKEN),
        (",11,4.0,100", BROKEN),
        (" ,11,4.0,100", BROKEN),
        (f"{'u' * 129},11,4.0,100", BROKEN),
        ("1,11,four,100", BROKEN),
        ('1,11,"4.0,100', BROKEN),
        ("1,11,0.0,100", RATING_OUT_OF_RANGE),
        ("1,11,5.5,100", RATING_OUT_OF_RANGE),
        ("1,11,-1,100", RATING_OUT_OF_RANGE),
        ("1,11,nan,100", RATING_OUT_OF_RANGE),
        ("1,11,inf,100", RATING_OUT_OF_RANGE),
        ("1,11,4.0,", BAD_TIMESTAMP),
        ("1,11,4.0,yesterday", BAD_TIMESTAMP),
        ("1,11,4.0,0", BAD_TIMESTAMP),
        ("1,11,4.0,-5", BAD_TIMESTAMP),
        # Milliseconds: the year 47,000.
        ("1,11,4.0,1420070400000", BAD_TIMESTAMP),
        ("1,77,4.0,100", UNKNOWN_FILM),
        ("2,12,4.0,100", DUPLICATE),
    ],
)
def test_a_bad_rating_is_left_out_and_counted_with_its_line(tmp_path: Path, line: str, reason: str) -> None:
    good_before, good_after = "1,10,4.0,100\n2,12,3.0,200\n", "3,13,5.0,300\n"
    dataset = read(tmp_path, ratings=HEADER + good_before + line + "\n" + good_after)
    report = dataset.report.table("ratings.csv")
    assert report.dropped == {reason: 1}
    assert report.first_lines == {reason: 4}
    assert (report.rows, report.kept_rows) == (4, 3)
    assert dataset.events.ratings.tolist() == [4.0, 3.0, 5.0]


def test_the_newest_of_repeated_ratings_is_kept(tmp_path: Path) -> None:
    dataset = read(tmp_path, ratings=HEADER + "1,10,1.0,300\n1,10,2.0,500\n1,10,3.0,400\n1,11,4.0,100\n")
    assert dataset.events.ratings.tolist() == [4.0, 2.0]
    assert dataset.report.table("ratings.csv").dropped == {DUPLICATE: 2}


def test_the_later_line_wins_between_ratings_of_the_same_second(tmp_path: Path) -> None:
    dataset = read(tmp_path, ratings=HEADER + "1,10,1.0,300\n1,10,2.0,300\n")
    assert dataset.events.ratings.tolist() == [2.0]


def test_one_percent_of_bad_rows_is_accepted_and_more_is_refused(tmp_path: Path) -> None:
    rows = [f"{user},10,4.0,100" for user in range(100)]
    at_limit = "\n".join(["7,10,9.0,100", *rows[1:]])
    assert len(read(tmp_path, limits=None, ratings=HEADER + at_limit).events) == 99
    past_limit = "\n".join(["7,10,9.0,100", "7,10,4.0,-1", *rows[2:]])
    with pytest.raises(TooManyDroppedRows) as refused:
        read(tmp_path, limits=None, ratings=HEADER + past_limit)
    assert str(refused.value) == (
        "ratings.csv: 2 of 100 rows cannot be used (2.00%), the limit is 1.00%: "
        "1 with a rating outside 0.5 to 5 (first at line 2: '9.0'); "
        "1 with a timestamp that is not in seconds between 1970 and 2100 (first at line 3: '-1'). "
        "Mend the file, or take these rows out of it; where columns have another unit or scale, "
        "`python -m training describe` writes a data.toml that says so"
    )


def test_ratings_of_films_that_are_not_there_are_left_out_unless_most_are(tmp_path: Path) -> None:
    known = [f"{user},10,4.0,100" for user in range(10)]
    unknown = [f"{user},66,4.0,100" for user in range(11)]
    assert len(read(tmp_path, limits=None, ratings=HEADER + "\n".join(known + unknown[:10])).events) == 10
    with pytest.raises(TooManyDroppedRows, match=r"11 of 21 rows .* the limit is 50\.00%: 11 about a film"):
        read(tmp_path, limits=None, ratings=HEADER + "\n".join(known + unknown))


def test_repeated_ratings_are_never_too_many(tmp_path: Path) -> None:
    dataset = read(tmp_path, limits=None, ratings=HEADER + "1,10,1.0,100\n1,10,2.0,200\n1,10,3.0,300\n")
    assert dataset.events.ratings.tolist() == [3.0]
    assert str(dataset.report.table("ratings.csv")) == (
        "ratings.csv: 2 of 3 rows are left out: 2 repeated (the newest is kept)"
    )


@pytest.mark.parametrize(
    ("file", "header", "message"),
    [
        ("tags", "userId,movieId,timestamp", r"tags\.csv lacks the column tag"),
        ("metadata", "movieId,overview,cast,country", r"metadata\.csv lacks the column director"),
    ],
)
def test_a_missing_column_is_named_with_the_file_and_what_was_found(
    tmp_path: Path, file: str, header: str, message: str
) -> None:
    with pytest.raises(MissingColumns, match=message):
        read(tmp_path, **{file: header + "\n1,10,4,100\n"})


def test_a_column_named_twice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnreadableTable, match="two of its columns share a name"):
        read(tmp_path, ratings="userId,movieId,rating,timestamp,rating\n1,10,4,100,4\n")


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnreadableTable, match=r"ratings\.csv cannot be read: it is empty"):
        read(tmp_path, ratings="")


@pytest.mark.parametrize("tables", [{"ratings": HEADER}, {"movies": "movieId,title,genres\n"}])
def test_a_table_of_no_rows_is_refused(tmp_path: Path, tables: dict[str, str]) -> None:
    with pytest.raises(NothingLeft, match="holds no usable row"):
        read(tmp_path, **tables)


def test_text_that_is_not_utf_8_is_refused_with_the_encoding(tmp_path: Path) -> None:
    read(tmp_path)
    (tmp_path / "movies.csv").write_bytes("movieId,title,genres\n10,Amélie (2001),Comedy\n".encode("latin-1"))
    with pytest.raises(UnreadableTable, match=r"movies\.csv cannot be read.*expected: UTF-8"):
        read_dataset(tmp_path)


def test_bad_films_are_left_out_and_counted(tmp_path: Path) -> None:
    movies = "movieId,title,genres\n10,Heat (1995),Crime\n,Heat (1995),Crime\n10,Twin (1996),Drama\n12,A,B,C\n"
    dataset = read(tmp_path, movies=movies)
    assert [film.title for film in dataset.catalog.films] == ["Heat"]
    report = dataset.report.table("movies.csv")
    assert report.dropped == {BROKEN: 2, DUPLICATE: 1}
    assert report.first_lines == {BROKEN: 5, DUPLICATE: 4}


@pytest.mark.parametrize("title", ['"Heat (1995)', '"Heat" (1995)', '""Heat" (1995)'])
def test_a_stray_quote_costs_its_own_line_only(tmp_path: Path, title: str) -> None:
    movies = f'movieId,title,genres\n10,Ran (1985),War\n11,{title},Crime\n12,"Up, Up (2009)",Drama\n'
    dataset = read(tmp_path, movies=movies)
    report = dataset.report.table("movies.csv")
    assert (report.rows, report.dropped, report.first_lines) == (3, {BROKEN: 1}, {BROKEN: 3})
    assert [film.title for film in dataset.catalog.films] == ["Ran", "Up, Up"]


def test_a_quote_inside_an_unquoted_field_is_text(tmp_path: Path) -> None:
    dataset = read(tmp_path, movies='movieId,title,genres\n10,The 12" Disc (1985),Music\n')
    assert dataset.catalog.films[0].title == 'The 12" Disc'


def test_metadata_with_an_unclosed_quote_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnreadableTable, match=r"metadata\.csv cannot be read.*quotes closed"):
        read(tmp_path, metadata='movieId,overview,cast,director,country\n10,"A,b,c,d\n11,B,b,c,d\n')


def test_tags_and_metadata_of_unknown_films_are_counted(tmp_path: Path) -> None:
    dataset = read(
        tmp_path,
        tags="userId,movieId,tag,timestamp\n1,10,fun,1\n1,99,fun,1\n1,10,,1\n",
        metadata="movieId,overview,cast,director,country\n10,x,,,\n99,x,,,\n10,again,,,\n",
    )
    assert dataset.report.table("tags.csv").dropped == {UNKNOWN_FILM: 1, EMPTY_TEXT: 1}
    assert dataset.report.table("metadata.csv").dropped == {UNKNOWN_FILM: 1, DUPLICATE: 1}
    assert dataset.catalog.films[0].overview == "x"


def test_bad_lines_of_ml_100k_are_counted(tmp_path: Path) -> None:
    flags = "|0" * 18
    items = f"1|A (1990)|d|d|u|0{flags}\n2|B (1991)|d|d|u|0\n |C (1992)|d|d|u|0{flags}\n1|D (1993)|d|d|u|0{flags}\n"
    (tmp_path / "u.item").write_text(items, encoding="latin-1")
    (tmp_path / "u.data").write_text("1\t1\t3\t100\n1\t1\t0\t100\n1\t1\tthree\t100\n")
    report = read_dataset(tmp_path, ANYTHING_GOES).report
    assert report.table("u.item").dropped == {BROKEN: 2, DUPLICATE: 1}
    assert report.table("u.item").first_lines == {BROKEN: 2, DUPLICATE: 4}
    assert report.table("u.data").dropped == {BROKEN: 1, RATING_OUT_OF_RANGE: 1}
    assert report.table("u.data").first_lines == {BROKEN: 3, RATING_OUT_OF_RANGE: 2}


def test_bad_lines_of_dat_files_are_counted(tmp_path: Path) -> None:
    (tmp_path / "movies.dat").write_text("1::A (1990)::Drama\n2::B\n ::C (1992)::Drama\n1::D (1993)::Drama\n3::::\n")
    (tmp_path / "ratings.dat").write_text("1::1::3::100\n1::1::0::100\n1::1::three::100\n1::9::3::100\n")
    (tmp_path / "tags.dat").write_text("1::1::fun::1\n1::9::fun::1\n1::1::::1\n1::1::fun\n")
    report = read_dataset(tmp_path, ANYTHING_GOES).report
    assert report.table("movies.dat").dropped == {BROKEN: 2, DUPLICATE: 1, EMPTY_TEXT: 1}
    assert report.table("ratings.dat").dropped == {BROKEN: 1, RATING_OUT_OF_RANGE: 1, UNKNOWN_FILM: 1}
    assert report.table("tags.dat").dropped == {UNKNOWN_FILM: 1, EMPTY_TEXT: 1, BROKEN: 1}
