"""Tables that a `DataFormat` describes, read into the same raw tables as MovieLens'."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec
import polars as pl

from features.catalog import Film
from features.ids import Id, id_of
from training.data.files import DataFiles
from training.data.formats.data_format import FORMAT_FILE, DataFormat, EventFormat, ItemFormat
from training.data.formats.text_tables import header_of, read_table, unpacked
from training.data.formats.values import SCALE_WORDS, UNIT_WORDS, number, stars, timestamps_s
from training.data.layouts.csv_tables import LINE, drop_rows
from training.data.layouts.movielens import METADATA_COLUMNS, TAG_COLUMNS, with_metadata, with_tags_of
from training.data.layouts.raw_tables import RATING_COLUMNS, RawTables, genres_of, in_order, with_ids
from training.data.layouts.titles import split_title
from training.data.read_report import DUPLICATE, NO_PERSON, NOTHING_COUNTED, TableReport

_YEAR = re.compile(r"\b(1[89]\d\d|20\d\d)\b")
_LATEST_S = 4_102_444_800
_HEADER_BYTES = 65_536


def read_described(files: DataFiles, described: DataFormat) -> RawTables:
    """The events and items of the files. Raises: MissingColumns, UnreadableTable."""
    events, events_report = _read_events(files, described.events)
    items, reports = described.items, [events_report]
    if items is None:
        films = _occurring(events)
    elif (items.file, items.only) == (described.events.file, described.events.only):
        films, _ = _read_items(files, items)  # its rows are the events', and counted there
    else:
        films, items_report = _read_items(files, items)
        reports.append(items_report)
    if _has_columns(files, "metadata.csv", METADATA_COLUMNS):
        films, report = with_metadata(films, files)
        reports.append(report)
    if _has_columns(files, "tags.csv", TAG_COLUMNS):
        films, report = with_tags_of(films, files)
        reports.append(report)
    timed = described.events.time is not None and described.events.time_unit != "order"
    beside = (FORMAT_FILE,) if FORMAT_FILE in files.names else ()
    return RawTables(
        described.shape, in_order(films), events, tuple(reports), timed, may_be_unrated=True, beside=beside
    )


def _has_columns(files: DataFiles, file: str, columns: tuple[str, ...]) -> bool:
    """Whether there is such a file, and it is the one that MovieLens has, not another's of that name."""
    if file not in files.names:
        return False
    first_line = unpacked(files, file, _HEADER_BYTES).decode("utf-8-sig", errors="replace").split("\n", 1)[0]
    return set(columns) <= set(header_of(first_line, ","))


def _read_events(files: DataFiles, table: EventFormat) -> tuple[pl.DataFrame, TableReport]:
    named = {"userId": table.user, "movieId": table.item, "rating": table.rating, "timestamp": table.time}
    frame, report = read_table(files, table, list(dict.fromkeys(name for name in named.values() if name)))
    frame = frame.select(
        LINE,
        *((pl.col(name) if name else pl.lit(None, pl.String)).alias(column) for column, name in named.items()),
    )
    if table.user is None:
        frame = frame.with_columns(userId=pl.lit(table.person))
    frame = drop_rows(frame, pl.col("userId").str.strip_chars().str.len_chars() == 0, NO_PERSON, report)
    frame = with_ids(frame, ("userId", "movieId"), report)
    if table.rating is None:
        frame = frame.with_columns(rating=pl.lit(0.0, pl.Float32))
    else:
        frame = _with_stars(frame, table, report)
    if table.time is None:
        frame = frame.with_columns(timestamp=pl.col(LINE).cast(pl.Int64))
    else:
        frame = _with_times(frame, table, report)
    return frame.select(LINE, *RATING_COLUMNS), report


def _with_stars(frame: pl.DataFrame, table: EventFormat, report: TableReport) -> pl.DataFrame:
    frame = frame.with_columns(given=pl.col("rating"), rating=stars(pl.col("rating"), table.scale, table.decimal_comma))
    if table.scale == "counts":
        nothing = (number(pl.col("given"), table.decimal_comma) <= 0).fill_null(False)
        frame = drop_rows(frame, nothing, NOTHING_COUNTED, report, "given")
    reason = f"with a rating that is not on the scale of {SCALE_WORDS[table.scale]}"
    return drop_rows(frame, pl.col("rating").is_null(), reason, report, "given")


def _with_times(frame: pl.DataFrame, table: EventFormat, report: TableReport) -> pl.DataFrame:
    unit = table.time_unit
    frame = frame.with_columns(given=pl.col("timestamp"), timestamp=timestamps_s(pl.col("timestamp"), unit))
    words = UNIT_WORDS.get(unit, f"the format {unit}")
    if unit == "order":
        reason, usable = f"with a time that is not {words}", pl.col("timestamp").is_not_null()
    else:
        reason = f"with a time that is not in {words}, between 1970 and 2100"
        usable = pl.col("timestamp").is_between(1, _LATEST_S)
    return drop_rows(frame, ~usable, reason, report, "given")


def _read_items(files: DataFiles, table: ItemFormat) -> tuple[dict[Id, Film], TableReport]:
    fields = ("title", "year", "genres", "overview", "director", "cast", "country")
    named = {"movieId": table.item} | {field: getattr(table, field) for field in fields}
    frame, report = read_table(files, table, list(dict.fromkeys(name for name in named.values() if name)))
    frame = frame.select(
        LINE,
        *((pl.col(name) if name else pl.lit(None, pl.String)).alias(column) for column, name in named.items()),
    )
    frame = with_ids(frame, ("movieId",), report)
    frame = drop_rows(frame, ~pl.col("movieId").is_first_distinct(), DUPLICATE, report, "movieId")
    rows = frame.select(named.keys()).iter_rows(named=True)
    films = (_film(row, table) for row in rows)
    return {film.movie_id: film for film in films}, report


def _film(row: Mapping[str, Any], table: ItemFormat) -> Film:
    title, year = split_title(row["title"] or "")
    if table.year:
        year = int(found.group()) if (found := _YEAR.search(row["year"] or "")) else None
    return Film(
        id_of(row["movieId"]),
        title or row["movieId"],
        year,
        genres_of("|".join(split_list(row["genres"], table.genre_separator)) or None),
        director=(row["director"] or "").strip(),
        cast=tuple(split_list(row["cast"], table.genre_separator)),
        country=(row["country"] or "").strip(),
        overview=" ".join((row["overview"] or "").split()),
    )


def split_list(text: str | None, separator: str) -> Iterator[str]:
    """The members of a list in a text field; `list` as the separator reads Python's and JSON's notation.

    Of objects in such a list the member `name` counts.
    """
    if not text:
        return
    if separator != "list":
        yield from (part.strip() for part in text.split(separator) if part.strip())
        return
    try:
        members = msgspec.json.decode(text) if text.startswith('["') else ast.literal_eval(text)
    except (msgspec.DecodeError, ValueError, SyntaxError, MemoryError, RecursionError):
        members = [text]
    for member in members if isinstance(members, list | tuple) else [members]:
        name = member.get("name") if isinstance(member, dict) else member
        if name is not None and str(name).strip():
            yield str(name).strip()


def _occurring(events: pl.DataFrame) -> dict[Id, Film]:
    """A catalogue of what occurs in the events, called by its id."""
    return {id_of(text): Film(id_of(text), text) for text in events["movieId"].unique().to_list()}
