"""Reads csv files into polars frames and counts every row that cannot be used.

polars alone is too lenient or too strict: a missing field becomes null, a surplus one is dropped, and one unclosed
quote consumes the rest of the file or fails it. Here each is one row left out, counted in the report.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import polars as pl

from training.data.errors import MissingColumns, UnreadableTable
from training.data.files import DataFiles
from training.data.read_report import BROKEN, TableReport

LINE = "line"
"""Column added to every frame: the row's line in its file (exact unless fields hold line breaks)."""
SURPLUS = "surplus field"
"""Column of what a row has beyond its last column."""
_SNIFFED_BYTES = 65_536
_FIELD = rb'(?:"(?:[^"]|"")*"|[^",\r\n][^,\r\n]*|)'
_COMPLETE_LINE = re.compile(rb"%s(?:,%s)*\r?\n?" % (_FIELD, _FIELD))
"""A line whose quoted fields begin, end and double their inner quotes as they should."""


def read_numbers(
    files: DataFiles, file: str, columns: Mapping[str, pl.DataType], separator: str = ",", has_header: bool = True
) -> tuple[pl.DataFrame, TableReport]:
    """Columns of a table of numbers, where other rows are left out and counted.

    columns: wanted name → type; without a header they are the file's columns in order. The last of them may
    be empty (callers judge it), the others may not. Rows in file order, blank lines skipped. separator: of several
    characters, it is read as if it were a tab.
    Raises MissingColumns, UnreadableTable.
    """
    start = _first_bytes(files, file)
    names = _header(file, start, columns, separator) if has_header else list(columns)
    schema = {name: columns.get(name, pl.String()) for name in names}
    # Without quotes in the first lines none are interpreted: a stray one then breaks its own line only.
    quote_char = '"' if b'"' in b"".join(start.splitlines()[:2]) else None
    source = files.table(file)
    if len(separator) > 1:
        source, separator = _with_tabs(files, file, separator), "\t"
    frame = _polars_read(file, source, schema, separator, quote_char, skip_lines=int(has_header))
    report = TableReport(file, rows=frame.height)
    required = list(columns)[:-1]
    broken = pl.any_horizontal(pl.col(required).is_null()) | pl.col(SURPLUS).is_not_null()
    return drop_rows(frame, broken, BROKEN, report).select(LINE, *columns), report


def read_texts(
    files: DataFiles, file: str, columns: Sequence[str], multi_line: bool = False
) -> tuple[pl.DataFrame, TableReport]:
    """Columns of a table of text (quoted where needed), null where a field is empty. Rows in file order.

    multi_line: whether a quoted field may hold line breaks. Where it may not, a line with a stray quote is
    one broken row; where it may, the end of such a row is unknown, and the file is refused.
    Raises MissingColumns, UnreadableTable.
    """
    names = _header(file, _first_bytes(files, file), columns, ",")
    with files.open(file) as stream:
        lines = stream.read().splitlines(keepends=True)
    incomplete = [] if multi_line else [n for n, line in enumerate(lines) if not _is_complete(line)]
    for number in incomplete:
        lines[number] = b"\n"
    schema = dict.fromkeys(names, pl.String())
    frame = _polars_read(file, b"".join(lines), schema, ",", quote_char='"', skip_lines=1)
    report = TableReport(file, rows=frame.height + len(incomplete))
    if incomplete:
        report.drop(BROKEN, len(incomplete), first_line=incomplete[0] + 1)
    return drop_rows(frame, pl.col(SURPLUS).is_not_null(), BROKEN, report).select(LINE, *columns), report


def drop_rows(
    frame: pl.DataFrame, unusable: pl.Expr, reason: str, report: TableReport, value: str | None = None
) -> pl.DataFrame:
    """Leave out the rows for which `unusable` is true or null, and count them in `report`.

    value: the column whose first such value the report shows.
    """
    flags = frame.select(unusable.fill_null(True)).to_series()
    if not flags.any():
        return frame
    left_out = frame.filter(flags)
    first = left_out.row(int(left_out[LINE].arg_min() or 0), named=True)
    shown = None if value is None else first[value]
    report.drop(reason, left_out.height, first_line=first[LINE], first_value=None if shown is None else str(shown))
    return frame.filter(~flags)


def _with_tabs(files: DataFiles, file: str, separator: str) -> bytes:
    with files.open(file) as stream:
        return stream.read().replace(separator.encode(), b"\t")


def _is_complete(line: bytes) -> bool:
    return b'"' not in line or _COMPLETE_LINE.fullmatch(line) is not None


def _first_bytes(files: DataFiles, file: str) -> bytes:
    with files.open(file) as stream:
        start = stream.read(_SNIFFED_BYTES)
    if not start.strip():
        raise UnreadableTable(file, "it is empty")
    return start


def _header(file: str, start: bytes, wanted: Mapping[str, pl.DataType] | Sequence[str], separator: str) -> list[str]:
    """Column names of the file's first line. Raises MissingColumns unless all that are wanted are there."""
    first_line = start.decode("utf-8-sig", errors="replace").splitlines()[0]
    found = [name.strip() for name in next(csv.reader(io.StringIO(first_line), delimiter=separator))]
    if missing := [name for name in wanted if name not in found]:
        raise MissingColumns(file, missing, found)
    if len(set(found)) < len(found):
        raise UnreadableTable(file, f"two of its columns share a name: {', '.join(found)}")
    return found


def _polars_read(
    file: str,
    source: Path | bytes,
    schema: Mapping[str, pl.DataType],
    separator: str,
    quote_char: str | None,
    skip_lines: int,
) -> pl.DataFrame:
    """Columns of `schema` and any after them, null where a number is missing or invalid; no blank lines."""
    try:
        frame = pl.read_csv(
            source,
            has_header=False,
            skip_lines=skip_lines,
            schema={**schema, SURPLUS: pl.String()},
            missing_columns="insert",
            separator=separator,
            quote_char=quote_char,
            ignore_errors=True,
            truncate_ragged_lines=True,
            raise_if_empty=False,
            row_index_name=LINE,
        )
    except pl.exceptions.ComputeError as error:
        what = str(error).splitlines()[0]
        raise UnreadableTable(
            file, f"{what} (expected: UTF-8, with quotes closed, and doubled inside quotes)"
        ) from error
    frame = frame.filter(~pl.all_horizontal(pl.exclude(LINE).is_null()))
    return frame.with_columns(pl.col(LINE) + skip_lines + 1)
