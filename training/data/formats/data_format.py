"""`data.toml`: which file and column holds what, in which unit and on which scale.

Reading the tables that it describes is `described`'s, proposing one from files is `proposal`'s.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import msgspec

from training.data.errors import BadDataFormat
from training.data.files import DataFiles

FORMAT_FILE = "data.toml"
OWN_COLUMNS = "own columns"
"""The shape of files that nobody else has."""

Encoding = Literal["utf-8", "utf-16", "latin-1"]
Scale = Literal["5", "10", "100", "0/1", "-1/1", "counts"]

TIME_UNITS = ("s", "ms", "us", "ns", "iso", "order")


class TableFormat(msgspec.Struct, kw_only=True, omit_defaults=True, forbid_unknown_fields=True, frozen=True):
    """What both tables have. Without a header, columns are called `column_1`, `column_2` and so on."""

    file: str
    """Its name in the folder. `.parquet`, `.jsonl`, `.ndjson` and `.json` are read as such, others as text in columns;
    each may end in `.gz`."""
    separator: str = ","
    header: bool = True
    encoding: Encoding = "utf-8"
    only: dict[str, list[str]] = {}
    """Column → values: rows with other values are skipped. For files that hold several kinds of rows."""
    named_values: str | None = None
    """A JSON column of `{"name": ..., "value": ...}` objects whose names are columns too."""


class EventFormat(TableFormat, kw_only=True, omit_defaults=True, forbid_unknown_fields=True, frozen=True):
    """Who did what, when, and how they rated it."""

    item: str
    user: str | None = None
    """None: everything is `person`'s."""
    person: str = ""
    rating: str | None = None
    """None: implicit data, every row says that this person had this item."""
    scale: Scale = "5"
    decimal_comma: bool = False
    time: str | None = None
    """None: rows stand in order."""
    time_unit: str = "s"
    """`s`, `ms`, `us`, `ns` since 1970; `iso`; a strptime format such as `%d.%m.%Y %H:%M`; or `order`: a number that
    only orders."""


class ItemFormat(TableFormat, kw_only=True, omit_defaults=True, forbid_unknown_fields=True, frozen=True):
    """What is known of the items; every column but `item` may be missing."""

    item: str
    title: str | None = None
    """None: items are called by their id. A year in brackets at the end is split off unless `year` is given."""
    year: str | None = None
    """A year, or a date that holds one."""
    genres: str | None = None
    genre_separator: str = "|"
    """Between genres; `list` reads lists such as `['Drama', 'War']`."""
    overview: str | None = None
    director: str | None = None
    cast: str | None = None
    """Split like genres."""
    country: str | None = None


class DataFormat(msgspec.Struct, kw_only=True, omit_defaults=True, forbid_unknown_fields=True, frozen=True):
    """A whole data set. Without `items` the catalogue is what occurs in the events."""

    shape: str = OWN_COLUMNS
    """What the files were recognised as."""
    events: EventFormat
    items: ItemFormat | None = None

    def __post_init__(self) -> None:
        unit = self.events.time_unit
        if unit not in TIME_UNITS and "%" not in unit:
            raise ValueError(f"time_unit {unit!r} is none of {', '.join(TIME_UNITS)}, nor a strptime format with %")
        if self.events.user is None and not self.events.person:
            raise ValueError("events needs `user`, the column of people, or `person`, whose events all rows are")


def read_format(files: DataFiles) -> DataFormat:
    """The description beside the files. Raises: BadDataFormat."""
    with files.open(FORMAT_FILE) as stream:
        text = stream.read()
    try:
        described = msgspec.toml.decode(text, type=DataFormat)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise BadDataFormat(FORMAT_FILE, str(error)) from error
    for table in (described.events, described.items):
        if table is not None and table.file not in files.names:
            raise BadDataFormat(FORMAT_FILE, f"there is no file {table.file!r} beside it")
    return described


def format_text(described: DataFormat, doubts: Iterable[str] = ()) -> str:
    """The description as TOML, with what is not certain about it as comments."""
    comments = [
        "# How to read the files beside this one; docs/training.md has every field.",
        *(f"# Not certain, look at it: {doubt}" for doubt in doubts),
    ]
    tables = {"events": _fields(described.events)}
    if described.items is not None:
        tables["items"] = _fields(described.items)
    return "\n".join(comments) + "\n\n" + msgspec.toml.encode({"shape": described.shape, **tables}).decode()


def _fields(table: TableFormat) -> dict[str, object]:
    """All fields that say something, those left at their defaults too: a reader shall see what may be changed."""
    values = {name: getattr(table, name) for name in table.__struct_fields__}
    return {name: value for name, value in values.items() if value not in (None, "", {})}
