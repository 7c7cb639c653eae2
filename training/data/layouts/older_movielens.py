"""The layouts of MovieLens' earlier data sets, whose files have no headers.

ml-100k           u.data (tabs), u.item (`|`, Latin-1, a flag for each genre)
ml-1m, ml-10m     ratings.dat, movies.dat, ml-10m also tags.dat: fields between `::`
"""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl

from features.catalog import Film
from features.ids import ID_LENGTH_LIMIT, Id, id_of
from training.data.errors import UnreadableTable
from training.data.files import DataFiles
from training.data.layouts.csv_tables import read_numbers
from training.data.layouts.raw_tables import RATING_COLUMNS, RawTables, genres_of, in_order, with_ids, with_tags
from training.data.layouts.titles import split_title
from training.data.read_report import BROKEN, DUPLICATE, EMPTY_TEXT, UNKNOWN_FILM, TableReport

_ML_100K_GENRES = (
    "", "Action", "Adventure", "Animation", "Children", "Comedy", "Crime", "Documentary", "Drama", "Fantasy",
    "Film-Noir", "Horror", "Musical", "Mystery", "Romance", "Sci-Fi", "Thriller", "War", "Western",
)  # fmt: skip
"""Meaning of u.item's 19 flags (ml-100k's README); the first is "unknown", and "Children's" has our name."""


def read_ml_100k(files: DataFiles) -> RawTables:
    """Read u.data and u.item. Raises UnreadableTable."""
    ratings, ratings_report = read_numbers(files, "u.data", RATING_COLUMNS, separator="\t", has_header=False)
    ratings = with_ids(ratings, ("userId", "movieId"), ratings_report)
    lines = _lines(files, "u.item")
    report = TableReport("u.item", rows=len(lines))
    films: dict[Id, Film] = {}
    for line_number, line in enumerate(lines, start=1):
        fields = line.split("|")
        # movie id | title | release date | video release date | IMDb URL | 19 flags
        if len(fields) != 5 + len(_ML_100K_GENRES) or not _is_id(fields[0]):
            report.drop(BROKEN, 1, line_number)
        elif (movie_id := id_of(fields[0].strip())) in films:
            report.drop(DUPLICATE, 1, line_number)
        else:
            title, year = split_title(fields[1])
            flagged = (genre for genre, flag in zip(_ML_100K_GENRES, fields[5:], strict=True) if flag == "1")
            films[movie_id] = Film(movie_id, title, year, tuple(filter(None, flagged)))
    return RawTables("ml-100k", in_order(films), ratings, (ratings_report, report))


def read_dat(files: DataFiles) -> RawTables:
    """Read ratings.dat, movies.dat and, where there is one, tags.dat. Raises UnreadableTable."""
    ratings, ratings_report = read_numbers(files, "ratings.dat", RATING_COLUMNS, separator="::", has_header=False)
    ratings = with_ids(ratings, ("userId", "movieId"), ratings_report)
    films, movies_report = _read_dat_movies(files)
    reports = [ratings_report, movies_report]
    if "tags.dat" in files.names:
        films, report = _with_dat_tags(films, files)
        reports.append(report)
    return RawTables("ml-1m", in_order(films), ratings, tuple(reports))


def _read_dat_movies(files: DataFiles) -> tuple[dict[Id, Film], TableReport]:
    lines = _lines(files, "movies.dat")
    report = TableReport("movies.dat", rows=len(lines))
    films: dict[Id, Film] = {}
    for line_number, fields in _dat_rows(lines, 3, report):
        movie_id, (title, year) = id_of(fields[0].strip()), split_title(fields[1])
        if not title:
            report.drop(EMPTY_TEXT, 1, line_number)
        elif movie_id in films:
            report.drop(DUPLICATE, 1, line_number)
        else:
            films[movie_id] = Film(movie_id, title, year, genres_of(fields[2]))
    return films, report


def _with_dat_tags(films: dict[Id, Film], files: DataFiles) -> tuple[dict[Id, Film], TableReport]:
    lines = _lines(files, "tags.dat")
    report = TableReport("tags.dat", rows=len(lines))
    rows: list[tuple[str, str, str]] = []
    for line_number, (user, movie, tag, _) in _dat_rows(lines, 4, report):
        if id_of(movie.strip()) not in films:
            report.drop(UNKNOWN_FILM, 1, line_number)
        elif not tag.strip():
            report.drop(EMPTY_TEXT, 1, line_number)
        else:
            rows.append((user.strip(), movie.strip(), tag))
    tags = pl.DataFrame(rows, schema={"userId": pl.String, "movieId": pl.String, "tag": pl.String}, orient="row")
    return with_tags(films, tags), report


def _dat_rows(lines: list[str], width: int, report: TableReport) -> Iterator[tuple[int, list[str]]]:
    """Number and fields of the lines that have `width` fields, with their ids; the rest is counted."""
    n_ids = width - 2
    for line_number, line in enumerate(lines, start=1):
        fields = line.split("::")
        if len(fields) != width or not all(map(_is_id, fields[:n_ids])):
            report.drop(BROKEN, 1, line_number)
        else:
            yield line_number, fields


def _is_id(field: str) -> bool:
    return 0 < len(field.strip()) <= ID_LENGTH_LIMIT


def _lines(files: DataFiles, name: str) -> list[str]:
    """Lines of a text that is UTF-8 (ml-10m) or else Latin-1 (the others), blank ones at the end left out."""
    with files.open(name) as stream:
        content = stream.read()
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = content.decode("latin-1")
    if not text.strip():
        raise UnreadableTable(name, "it is empty")
    return text.rstrip().replace("\r\n", "\n").split("\n")
