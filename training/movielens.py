"""MovieLens' two layouts, read into the same tables: csv files with headers, and ml-100k's own.

This module knows names of files and columns; cleaning ratings and numbering rows is `training.dataset`'s.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import polars as pl

from features.catalog import Film
from training.csv_tables import drop_rows, read_numbers, read_texts
from training.data_errors import UnreadableTable
from training.data_files import DataFiles
from training.read_report import BROKEN, DUPLICATE, EMPTY_TEXT, UNKNOWN_FILM, TableReport
from training.titles import split_title

RATING_COLUMNS = {
    "userId": pl.Int32(),
    "movieId": pl.Int32(),
    "rating": pl.Float32(),
    "timestamp": pl.Int64(),
}
"""25 million rows are 500 MB at these widths; ids above 2^31 - 1 count as broken rows."""

TAGS_PER_FILM = 30
"""Kept tags of a film, most frequent first: ml-25m has films with thousands of distinct ones."""

_NO_GENRES = "(no genres listed)"
_ML_100K_GENRES = (
    "", "Action", "Adventure", "Animation", "Children", "Comedy", "Crime", "Documentary", "Drama", "Fantasy",
    "Film-Noir", "Horror", "Musical", "Mystery", "Romance", "Sci-Fi", "Thriller", "War", "Western",
)  # fmt: skip
"""Meaning of u.item's 19 flags (ml-100k's README); the first is "unknown", and "Children's" has our name."""


@dataclass(frozen=True, slots=True)
class RawTables:
    """What a layout yields: films by movie_id, and ratings not yet cleaned."""

    layout: str
    films: tuple[Film, ...]
    ratings: pl.DataFrame
    """Columns line, userId, movieId, rating, timestamp, in file order; timestamp may be null."""
    reports: tuple[TableReport, ...]
    """The ratings' report comes first."""
    used_files: tuple[str, ...]


def read_tables(files: DataFiles) -> RawTables:
    """Read whichever layout the files have. Raises MissingColumns, UnreadableTable."""
    return _read_csv_layout(files) if "movies.csv" in files.names else _read_ml_100k(files)


def _read_csv_layout(files: DataFiles) -> RawTables:
    ratings, ratings_report = read_numbers(files, "ratings.csv", RATING_COLUMNS)
    films, movies_report = _read_movies(files)
    reports = [ratings_report, movies_report]
    if "metadata.csv" in files.names:
        films, report = _with_metadata(films, files)
        reports.append(report)
    if "tags.csv" in files.names:
        films, report = _with_tags(films, files)
        reports.append(report)
    return RawTables("movielens", _in_order(films), ratings, tuple(reports), tuple(r.file for r in reports))


def _read_movies(files: DataFiles) -> tuple[dict[int, Film], TableReport]:
    frame, report = read_texts(files, "movies.csv", ("movieId", "title", "genres"))
    frame = _with_numeric_ids(frame, report)
    frame = drop_rows(frame, pl.col("title").is_null(), EMPTY_TEXT, report)
    frame = drop_rows(frame, ~pl.col("movieId").is_first_distinct(), DUPLICATE, report)
    films = {}
    for movie_id, raw_title, genres in frame.select("movieId", "title", "genres").iter_rows():
        title, year = split_title(raw_title)
        films[movie_id] = Film(movie_id, title, year, _genres(genres))
    return films, report


def _with_metadata(films: dict[int, Film], files: DataFiles) -> tuple[dict[int, Film], TableReport]:
    """Films with what metadata.csv knows of them."""
    columns = ("movieId", "overview", "cast", "director", "country")
    frame, report = read_texts(files, "metadata.csv", columns, multi_line=True)
    frame = drop_rows(_with_numeric_ids(frame, report), ~pl.col("movieId").is_in(list(films)), UNKNOWN_FILM, report)
    frame = drop_rows(frame, ~pl.col("movieId").is_first_distinct(), DUPLICATE, report)
    known = dict(films)
    for movie_id, overview, cast, director, country in frame.select(columns).iter_rows():
        known[movie_id] = replace(
            films[movie_id],
            overview=" ".join((overview or "").split()),
            cast=_listed(cast),
            director=(director or "").strip(),
            country=(country or "").strip(),
        )
    return known, report


def _with_tags(films: dict[int, Film], files: DataFiles) -> tuple[dict[int, Film], TableReport]:
    """Films with what people called them: lower case, one vote a person, most frequent first, ties by alphabet."""
    frame, report = read_texts(files, "tags.csv", ("userId", "movieId", "tag"))
    frame = drop_rows(frame, pl.col("tag").is_null(), EMPTY_TEXT, report)
    frame = drop_rows(_with_numeric_ids(frame, report), ~pl.col("movieId").is_in(list(films)), UNKNOWN_FILM, report)
    votes = (
        frame.with_columns(pl.col("tag").str.strip_chars().str.to_lowercase())
        .group_by("movieId", "tag")
        .agg(pl.col("userId").n_unique().alias("people"))
        .sort(["movieId", "people", "tag"], descending=[False, True, False])
        .group_by("movieId", maintain_order=True)
        .agg(pl.col("tag").head(TAGS_PER_FILM))
    )
    tagged = {movie_id: replace(films[movie_id], tags=tuple(tags)) for movie_id, tags in votes.iter_rows()}
    return {**films, **tagged}, report


def _with_numeric_ids(frame: pl.DataFrame, report: TableReport) -> pl.DataFrame:
    frame = frame.with_columns(pl.col("movieId").str.strip_chars().cast(pl.Int32, strict=False))
    return drop_rows(frame, pl.col("movieId").is_null(), BROKEN, report)


def _genres(field: str | None) -> tuple[str, ...]:
    return () if field is None or field == _NO_GENRES else _listed(field)


def _listed(field: str | None) -> tuple[str, ...]:
    """`"a|b"` → `("a", "b")`."""
    return tuple(part.strip() for part in (field or "").split("|") if part.strip())


def _in_order(films: dict[int, Film]) -> tuple[Film, ...]:
    return tuple(films[movie_id] for movie_id in sorted(films))


def _read_ml_100k(files: DataFiles) -> RawTables:
    """u.data (tab-separated, no header) and u.item (`|`-separated, Latin-1, genre flags)."""
    ratings, ratings_report = read_numbers(files, "u.data", RATING_COLUMNS, separator="\t", has_header=False)
    with files.open("u.item") as stream:
        lines = stream.read().decode("latin-1").splitlines()
    if not any(line.strip() for line in lines):
        raise UnreadableTable("u.item", "it is empty")
    report = TableReport("u.item", rows=len(lines))
    films: dict[int, Film] = {}
    for line_number, line in enumerate(lines, start=1):
        fields = line.split("|")
        # movie id | title | release date | video release date | IMDb URL | 19 flags
        if len(fields) != 5 + len(_ML_100K_GENRES) or not fields[0].strip().isdecimal():
            report.drop(BROKEN, 1, line_number)
        elif (movie_id := int(fields[0])) in films:
            report.drop(DUPLICATE, 1, line_number)
        else:
            title, year = split_title(fields[1])
            flagged = (genre for genre, flag in zip(_ML_100K_GENRES, fields[5:], strict=True) if flag == "1")
            films[movie_id] = Film(movie_id, title, year, tuple(filter(None, flagged)))
    return RawTables("ml-100k", _in_order(films), ratings, (ratings_report, report), ("u.data", "u.item"))
