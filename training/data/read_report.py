"""Rows read and rows left out, counted per file and reason."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from training.data.errors import TooManyDroppedRows

BROKEN = "not readable as a row"
RATING_OUT_OF_RANGE = "with a rating outside 0.5 to 5"
BAD_TIMESTAMP = "with a timestamp that is not in seconds between 1970 and 2100"
UNKNOWN_FILM = "about a film that is not in the catalogue"
DUPLICATE = "repeated (the newest is kept)"
EMPTY_TEXT = "without text"
NO_PERSON = "without a person"
NOTHING_COUNTED = "with a count of 0 or less"


@dataclass(frozen=True, slots=True)
class ReadLimits:
    """Shares of unusable rows above which data is refused."""

    max_dropped_ratio: float = 0.01
    """Share of a file's rows, 0 to 1, that may be damaged; more than this refuses the data."""
    max_unknown_ratio: float = 0.5
    """Share of a file's rows, 0 to 1, that may be about films that are not in the catalogue, or of nobody: a folder
    may hold some of the films, but when most are missing the tables are of two data sets."""


@dataclass(slots=True)
class TableReport:
    """One file: its rows, and those left out by reason. Filled while the file is read."""

    file: str
    rows: int
    dropped: dict[str, int] = field(default_factory=dict)
    first_lines: dict[str, int] = field(default_factory=dict)
    """Line number (the header is line 1) of the first row left out for each reason."""
    first_values: dict[str, str] = field(default_factory=dict)
    """The value that was the reason, in that row; where one value was."""

    @property
    def dropped_rows(self) -> int:
        """How many rows were left out, for any reason."""
        return sum(self.dropped.values())

    @property
    def kept_rows(self) -> int:
        """How many rows are used."""
        return self.rows - self.dropped_rows

    def drop(self, reason: str, count: int, first_line: int, first_value: str | None = None) -> None:
        """Count rows left out; a count of 0 leaves no trace."""
        if count:
            self.dropped[reason] = self.dropped.get(reason, 0) + count
            self.first_lines.setdefault(reason, first_line)
            if first_value is not None:
                self.first_values.setdefault(reason, first_value)

    def places(self) -> dict[str, str]:
        """Where each reason was met first: its line, and the value where there is one."""
        return {
            reason: f"line {line:,}" + (f": {self.first_values[reason]!r}" if reason in self.first_values else "")
            for reason, line in self.first_lines.items()
        }

    def check(self, limits: ReadLimits) -> None:
        """Raises TooManyDroppedRows when more rows were left out than `limits` allow.

        Repeated rows do not count, nor do counts of nothing: shops note what was returned.
        """
        unknown = {reason: count for reason, count in self.dropped.items() if reason in (UNKNOWN_FILM, NO_PERSON)}
        never = (*unknown, DUPLICATE, NOTHING_COUNTED)
        damaged = {reason: count for reason, count in self.dropped.items() if reason not in never}
        for dropped, limit in ((damaged, limits.max_dropped_ratio), (unknown, limits.max_unknown_ratio)):
            if self.rows and sum(dropped.values()) / self.rows > limit:
                raise TooManyDroppedRows(self.file, self.rows, dropped, self.places(), limit)

    def __str__(self) -> str:
        reasons = "; ".join(f"{count:,} {reason}" for reason, count in self.dropped.items())
        return f"{self.file}: {self.dropped_rows:,} of {self.rows:,} rows are left out: {reasons}"


@dataclass(frozen=True, slots=True)
class ReadReport:
    """The reports of one data set."""

    layout: str
    """`movielens` (csv files with headers), `ml-1m` (`.dat` files, ml-10m's too), `ml-100k`, or what else the files
    were recognised as or described as."""
    tables: tuple[TableReport, ...]
    posters_without_film: int = 0
    """Files in posters/ whose name is no film of the catalogue."""
    suspicions: tuple[str, ...] = ()
    """What looks wrong in the files although it can be read, a sentence each."""
    taken_as: str = ""
    """What was taken for what, in one line, where it was recognised rather than described; else empty."""

    @property
    def dropped_rows(self) -> int:
        """Rows left out over all files."""
        return sum(table.dropped_rows for table in self.tables)

    def table(self, file: str) -> TableReport:
        """Report of one file. Raises KeyError when it was not read."""
        return _by_file(self.tables)[file]


def _by_file(tables: Iterable[TableReport]) -> dict[str, TableReport]:
    return {table.file: table for table in tables}
