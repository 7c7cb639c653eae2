"""MovieLens' csv files with headers, as all data sets since 2015 and the embedded sample have them.

This module knows names of files and columns; cleaning ratings and numbering rows is `training.data.dataset`'s. The
layouts of earlier data sets are `training.data.layouts.older_movielens`'.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import polars as pl

from features.catalog import Film
from features.ids import Id, id_of
from training.data.files import DataFiles
from training.data.layouts.csv_tables import drop_rows, read_numbers, read_texts
from training.data.layouts.older_movielens import read_dat, read_ml_100k
from training.data.layouts.raw_tables import RATING_COLUMNS, RawTables, genres_of, in_order, listed, with_ids, with_tags
from training.data.layouts.titles import split_title
from training.data.read_report import DUPLICATE, EMPTY_TEXT, UNKNOWN_FILM, TableReport

METADATA_COLUMNS = ("movieId", "overview", "cast", "director", "country")
TAG_COLUMNS = ("userId", "movieId", "tag")


def read_tables(files: DataFiles) -> RawTables:
    """Read whichever layout the files have. Raises MissingColumns, UnreadableTable."""
    if "movies.csv" in files.names:
        return _read_csv_layout(files)
    return read_dat(files) if "movies.dat" in files.names else read_ml_100k(files)


def _read_csv_layout(files: DataFiles) -> RawTables:
    ratings, ratings_report = read_numbers(files, "ratings.csv", RATING_COLUMNS)
    ratings = with_ids(ratings, ("userId", "movieId"), ratings_report)
    films, movies_report = _read_movies(files)
    reports = [ratings_report, movies_report]
    if "metadata.csv" in files.names:
        films, report = with_metadata(films, files)
        reports.append(report)
    if "tags.csv" in files.names:
        films, report = with_tags_of(films, files)
        reports.append(report)
    return RawTables("movielens", in_order(films), ratings, tuple(reports))


def _read_movies(files: DataFiles) -> tuple[dict[Id, Film], TableReport]:
    frame, report = read_texts(files, "movies.csv", ("movieId", "title", "genres"))
    frame = with_ids(frame, ("movieId",), report)
    frame = drop_rows(frame, ~pl.col("movieId").is_first_distinct(), DUPLICATE, report)
    films = {}
    for movie, raw_title, genres in frame.select("movieId", "title", "genres").iter_rows():
        movie_id, (title, year) = id_of(movie), split_title(raw_title or movie)
        films[movie_id] = Film(movie_id, title, year, genres_of(genres))
    return films, report


def with_metadata(films: dict[Id, Film], files: DataFiles) -> tuple[dict[Id, Film], TableReport]:
    """Films with their fields of metadata.csv."""
    frame, report = read_texts(files, "metadata.csv", METADATA_COLUMNS, multi_line=True)
    frame = drop_rows(with_ids(frame, ("movieId",), report), ~_known(films), UNKNOWN_FILM, report)
    frame = drop_rows(frame, ~pl.col("movieId").is_first_distinct(), DUPLICATE, report)
    described = dict(films)
    for movie, overview, cast, director, country in frame.select(METADATA_COLUMNS).iter_rows():
        movie_id = id_of(movie)
        described[movie_id] = replace(
            films[movie_id],
            overview=" ".join((overview or "").split()),
            cast=listed(cast),
            director=(director or "").strip(),
            country=(country or "").strip(),
        )
    return described, report


def with_tags_of(films: dict[Id, Film], files: DataFiles) -> tuple[dict[Id, Film], TableReport]:
    """Films with the tags of tags.csv."""
    frame, report = read_texts(files, "tags.csv", TAG_COLUMNS)
    frame = drop_rows(frame, pl.col("tag").is_null(), EMPTY_TEXT, report)
    frame = drop_rows(with_ids(frame, ("movieId",), report), ~_known(films), UNKNOWN_FILM, report)
    return with_tags(films, frame), report


def _known(films: Mapping[Id, Film]) -> pl.Expr:
    """Whether a row's movieId is that of a film."""
    return pl.col("movieId").is_in([str(movie_id) for movie_id in films])
