"""A data set in memory: a catalogue, and who rated which film when.

`read_dataset` is the entry point, for MovieLens in any of its layouts, for the embedded sample, which is written in
MovieLens' layout, and for data in columns of their own. Rows that cannot be used are counted in `Dataset.report`; past
a limit the data set is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from features.catalog import Catalog
from features.ids import IdTable, id_of, id_order
from features.thresholds import MAX_STARS, MIN_STARS
from training.data.errors import NothingLeft, UnreadableTable
from training.data.files import DAMAGED_ZIP, DataFiles, content_sha256, open_data_files, poster_names
from training.data.formats.reading import read_raw
from training.data.layouts.csv_tables import LINE, drop_rows
from training.data.layouts.raw_tables import RawTables
from training.data.read_report import (
    BAD_TIMESTAMP,
    DUPLICATE,
    RATING_OUT_OF_RANGE,
    UNKNOWN_FILM,
    ReadLimits,
    ReadReport,
)
from training.data.suspicions import cut_lines, frequent_item

MIN_RATING, MAX_RATING = MIN_STARS, MAX_STARS
"""Stars; ml-100k's 1 to 5 lie inside."""

SIMULATED_MARK = "SIMULATED.txt"
"""A file of this name beside movies.csv says that the people of this data set are simulated."""

_LATEST_TIMESTAMP_S = 4_102_444_800
"""The year 2100: later stamps are milliseconds or noise."""


@dataclass(frozen=True, slots=True)
class Events:
    """Ratings in columns of length E, sorted by (user_row, timestamp, item_row)."""

    user_rows: npt.NDArray[np.int32]
    item_rows: npt.NDArray[np.int32]
    ratings: npt.NDArray[np.float32]
    """0.5 to 5 stars; 0 = watched without rating."""
    timestamps_s: npt.NDArray[np.int64]
    """Unix seconds; 1, 2, 3 and so on for each person where the data have no times (`Dataset.timed`)."""

    def __len__(self) -> int:
        return len(self.user_rows)


@dataclass(frozen=True, slots=True)
class Dataset:
    """Everything that was read from one folder or zip."""

    name: str
    """The folder's name, e.g. `ml-25m`."""
    fingerprint: str
    """sha256 over the content of all files that were used, posters included; where they lie does not matter."""
    simulated: bool
    """True when its people are simulated."""
    catalog: Catalog
    """Films by ascending movie_id, numbers before texts; films that nobody rated are in it too."""
    user_ids: tuple[str, ...]
    """(U,) the data's own user ids by user_row, ascending, numbers before texts; everyone has at least one event."""
    events: Events
    poster_paths: Mapping[int, Path]
    """item_row → poster file, for the films that have one."""
    report: ReadReport
    timed: bool = True
    """False when nothing is known of times but each person's order."""

    @property
    def rated(self) -> bool:
        """Whether any event has stars."""
        return bool((self.events.ratings > 0).any())

    def left_out(self) -> tuple[str, ...]:
        """What the data cannot give for want of ratings or times, a sentence each."""
        sentences = []
        if not self.rated:
            sentences.append(
                "These data have no ratings: every event counts as watched. RMSE, means and distributions of ratings "
                "are left out, and while serving nothing passes min_rating or has an average"
            )
        if not self.timed:
            sentences.append(
                "These data have no times: each person's rows are taken in their order, the oldest first. Dates, "
                "trends and gaps between events are left out"
            )
        return tuple(sentences)

    def coverage(self) -> dict[str, float]:
        """Share of films, 0 to 1, of which each thing is known."""
        films = self.catalog.films
        counts = {
            "year": sum(film.year is not None for film in films),
            "genres": sum(bool(film.genres) for film in films),
            "overview": sum(bool(film.overview) for film in films),
            "cast": sum(bool(film.cast) for film in films),
            "director": sum(bool(film.director) for film in films),
            "country": sum(bool(film.country) for film in films),
            "tags": sum(bool(film.tags) for film in films),
            "poster": len(self.poster_paths),
            "ratings": len(np.unique(self.events.item_rows)),
        }
        return {name: count / len(films) for name, count in counts.items()}


def read_dataset(path: Path, limits: ReadLimits | None = None) -> Dataset:
    """Read a folder, a zip or a file: MovieLens in the layout of any of its data sets, the sample, or other columns.

    Other columns are read as the data.toml beside them says, or as they are recognised where only one reading is
    possible. Beside the table of films, `tags.csv`, `metadata.csv` (movieId, overview, cast, director, country) and
    `posters/<movieId>.jpg` are read where they exist. The same content gives the same rows in the same order,
    and the same fingerprint, whether zipped or not.
    Raises DataNotFound, BadDataFormat, UnclearData, MissingColumns, UnreadableTable, TooManyDroppedRows, NothingLeft.
    """
    try:
        return _read(open_data_files(path), str(path), limits or ReadLimits())
    except DAMAGED_ZIP as error:
        raise UnreadableTable(str(path), f"the zip is damaged ({error}); fetch it again") from error


def _read(files: DataFiles, path: str, limits: ReadLimits) -> Dataset:
    raw = read_raw(files, path)
    if not raw.films:
        raise NothingLeft(raw.reports[:2][-1].file)
    catalog = Catalog(raw.films)
    ratings, people = _clean_ratings(raw, catalog)
    for table in raw.reports:
        table.check(limits)
    if ratings.is_empty():
        raise NothingLeft(raw.reports[0].file)
    user_ids, events = _numbered(ratings, people)
    posters = files.poster_paths()
    marks = {SIMULATED_MARK} & files.names
    return Dataset(
        name=files.name,
        fingerprint=content_sha256(files, [*raw.used_files, *marks, *poster_names(files).values()]),
        simulated=bool(marks),
        catalog=catalog,
        user_ids=user_ids,
        events=events,
        poster_paths={
            row: posters[film.movie_id] for row, film in enumerate(catalog.films) if film.movie_id in posters
        },
        report=ReadReport(
            layout=raw.layout,
            tables=raw.reports,
            posters_without_film=sum(catalog.row_of(movie_id) is None for movie_id in posters),
            suspicions=(*cut_lines(files, raw.used_files[:1]), *frequent_item(raw.ratings)),
            taken_as=raw.taken_as,
        ),
        timed=raw.timed,
    )


def _clean_ratings(raw: RawTables, catalog: Catalog) -> tuple[pl.DataFrame, IdTable]:
    """Ratings that can be used, sorted by (person, time, film), with their person's and film's rows; and the people.

    Those left out are counted in raw.reports[0]; some of the people may have no rating that can be used.
    """
    report = raw.reports[0]
    frame = raw.ratings
    good_rating = pl.col("rating").is_between(MIN_RATING, MAX_RATING)
    if raw.may_be_unrated:
        good_rating |= pl.col("rating") == 0
    frame = drop_rows(frame, ~good_rating, RATING_OUT_OF_RANGE, report, "rating")
    if raw.timed:
        good_time = pl.col("timestamp").is_between(1, _LATEST_TIMESTAMP_S)
        frame = drop_rows(frame, ~good_time, BAD_TIMESTAMP, report, "timestamp")
    frame = _with_rows(frame, "movieId", "item_row", catalog.row_of)
    frame = drop_rows(frame, pl.col("item_row").is_null(), UNKNOWN_FILM, report, "movieId").drop("movieId")
    people = IdTable.of(sorted(map(id_of, frame["userId"].unique().to_list()), key=id_order))
    frame = _with_rows(frame, "userId", "user_row", people.row_of).drop("userId")
    frame = frame.sort("user_row", "item_row", "timestamp", LINE)
    has_newer = pl.all_horizontal(pl.col(name) == pl.col(name).shift(-1) for name in ("user_row", "item_row"))
    frame = drop_rows(frame, has_newer.fill_null(False), DUPLICATE, report)
    if raw.timed:
        return frame.sort("user_row", "timestamp", "item_row"), people
    frame = frame.sort("user_row", "timestamp", LINE)
    in_order = pl.int_range(1, pl.len() + 1, dtype=pl.Int64).over("user_row")
    return frame.with_columns(timestamp=in_order), people


def _with_rows(frame: pl.DataFrame, ids: str, rows: str, row_of: Callable[[str], int | None]) -> pl.DataFrame:
    """The frame with a column of rows, null where there is none, beside one of ids."""
    distinct = frame[ids].unique()
    table = pl.DataFrame({ids: distinct, rows: pl.Series([row_of(text) for text in distinct], dtype=pl.Int32)})
    return frame.join(table, on=ids, how="left", maintain_order="left")


def _numbered(ratings: pl.DataFrame, people: IdTable) -> tuple[tuple[str, ...], Events]:
    """The ids of people with ratings, and the ratings with rows among these."""
    present, user_rows = np.unique(ratings["user_row"].to_numpy(), return_inverse=True)
    ids = people.ids
    return tuple(str(ids[row]) for row in present), Events(
        user_rows=user_rows.astype(np.int32),
        item_rows=ratings["item_row"].to_numpy(),
        ratings=ratings["rating"].to_numpy(),
        timestamps_s=ratings["timestamp"].to_numpy(),
    )
