"""Any table as columns of text: separated values, Parquet, JSON lines; gzipped or not.

Everything is text here, so that no id loses a digit or a leading zero; units and scales are `values`'.
"""

from __future__ import annotations

import codecs
import csv
import gzip
import io
import zlib
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

import msgspec
import polars as pl

from training.data.errors import MissingColumns, UnreadableTable
from training.data.files import DataFiles
from training.data.formats.data_format import TableFormat
from training.data.layouts.csv_tables import LINE, SURPLUS, drop_rows
from training.data.read_report import BROKEN, TableReport

JSON_SUFFIXES = (".jsonl", ".ndjson", ".json")
LIST_SEPARATOR = "|"
"""Between the members of a list of JSON or Parquet, once it is text."""
SEPARATORS = {"\\t": "\t", "tab": "\t"}
_STAND_IN = "\x1f"
"""ASCII's unit separator, in place of separators of several characters."""


def read_table(files: DataFiles, table: TableFormat, columns: Sequence[str]) -> tuple[pl.DataFrame, TableReport]:
    """Some columns as text, null where empty, in file order beside `line`; rows that are no rows are counted.

    Raises: MissingColumns, UnreadableTable.
    """
    frame, report = _read(files, table, [*columns, *table.only])
    for column, values in table.only.items():
        frame = frame.filter(pl.col(column).is_in(values))
    if table.only:
        report.rows = frame.height + report.dropped_rows
    return frame.select(LINE, *columns), report


def kind_of(file: str) -> str:
    """`parquet`, `json` or `text`."""
    suffix = PurePosixPath(file.removesuffix(".gz")).suffix.lower()
    return "parquet" if suffix == ".parquet" else "json" if suffix in JSON_SUFFIXES else "text"


def unpacked(files: DataFiles, file: str, most: int | None = None) -> bytes:
    """The file's bytes, or the first of them, without gzip. Raises: UnreadableTable."""
    with files.open(file) as stream:
        if not file.endswith(".gz"):
            return stream.read() if most is None else stream.read(most)
        try:
            with gzip.open(stream) as inner:
                return inner.read() if most is None else inner.read(most)
        except (gzip.BadGzipFile, EOFError, zlib.error) as error:
            raise UnreadableTable(file, f"its gzip is damaged ({error}); fetch it again") from error


def _read(files: DataFiles, table: TableFormat, columns: list[str]) -> tuple[pl.DataFrame, TableReport]:
    kind = kind_of(table.file)
    if kind == "parquet":
        return _read_parquet(files, table.file, columns)
    content = unpacked(files, table.file)
    if not content.strip():
        raise UnreadableTable(table.file, "it is empty")
    if kind == "json":
        return _from_rows(table, json_rows(content), columns)
    return _read_text(table, as_utf8(table.file, content, table.encoding), columns)


def as_utf8(file: str, content: bytes, encoding: str) -> bytes:
    """The same text in UTF-8 without a byte-order mark. Raises: UnreadableTable."""
    if encoding == "utf-8":
        return content.removeprefix(codecs.BOM_UTF8)
    try:
        return content.decode(encoding).encode()
    except UnicodeDecodeError as error:
        raise UnreadableTable(file, f"it is not {encoding}: {error}") from error


def header_of(first_line: str, separator: str) -> list[str]:
    """Column names of a first line."""
    separator = SEPARATORS.get(separator, separator)
    if len(separator) > 1:
        first_line, separator = first_line.replace(separator, _STAND_IN), _STAND_IN
    return [name.strip() for name in next(csv.reader(io.StringIO(first_line), delimiter=separator), [])]


def text_frame(
    file: str, content: bytes, separator: str, names: Sequence[str], skip_lines: int, quoted: bool
) -> pl.DataFrame:
    """A table of text in UTF-8: the named columns, `line` and the surplus. Raises: UnreadableTable."""
    separator = SEPARATORS.get(separator, separator)
    if len(separator) > 1:
        content, separator = content.replace(separator.encode(), _STAND_IN.encode()), _STAND_IN
    try:
        frame = pl.read_csv(
            content,
            has_header=False,
            skip_lines=skip_lines,
            schema={**dict.fromkeys(names, pl.String()), SURPLUS: pl.String()},
            missing_columns="insert",
            separator=separator,
            quote_char='"' if quoted else None,
            truncate_ragged_lines=True,
            raise_if_empty=False,
            row_index_name=LINE,
        )
    except pl.exceptions.ComputeError as error:
        what = str(error).splitlines()[0]
        raise UnreadableTable(
            file,
            f"{what} (expected: UTF-8, or the `encoding` that data.toml names, with quotes closed, and doubled "
            "inside quotes)",
        ) from error
    frame = frame.filter(~pl.all_horizontal(pl.exclude(LINE).is_null()))
    return frame.with_columns(pl.col(LINE) + skip_lines + 1)


def _read_text(table: TableFormat, content: bytes, columns: list[str]) -> tuple[pl.DataFrame, TableReport]:
    first_line = content.split(b"\n", 1)[0].decode(errors="replace").rstrip("\r")
    names = header_of(first_line, table.separator)
    if not table.header:
        names = [f"column_{number}" for number in range(1, len(names) + 1)]
    names = unique_names(table.file, names, columns)
    # Without quotes in the first lines none are interpreted: a stray one then breaks its own line only.
    quoted = b'"' in content[:1_000_000]
    frame = text_frame(table.file, content, table.separator, names, int(table.header), quoted)
    report = TableReport(table.file, rows=frame.height)
    frame = drop_rows(frame, pl.col(SURPLUS).is_not_null(), BROKEN, report)
    return frame.select(LINE, *dict.fromkeys(columns)), report


def unique_names(file: str, found: list[str], wanted: Sequence[str]) -> list[str]:
    """Names of a header, those that occur twice or not at all numbered. Raises: MissingColumns, UnreadableTable."""
    if missing := [name for name in wanted if name not in found]:
        raise MissingColumns(file, missing, found, "Name its columns in data.toml")
    if twice := [name for name in wanted if found.count(name) > 1]:
        raise UnreadableTable(file, f"two of its columns share the name {twice[0]}")
    return [name if name and found.count(name) == 1 else f"column_{at}" for at, name in enumerate(found, start=1)]


def _read_parquet(files: DataFiles, file: str, columns: list[str]) -> tuple[pl.DataFrame, TableReport]:
    wanted = list(dict.fromkeys(columns))
    try:
        source = files.table(file)
        found = list(pl.read_parquet_schema(source if not isinstance(source, bytes) else io.BytesIO(source)))
        if missing := [name for name in wanted if name not in found]:
            raise MissingColumns(file, missing, found, "Name its columns in data.toml")
        frame = pl.read_parquet(source, columns=wanted)
    except (pl.exceptions.ComputeError, OSError) as error:
        raise UnreadableTable(file, f"it is no Parquet file ({str(error).splitlines()[0]})") from error
    frame = frame.select(_as_text(frame, name) for name in wanted).with_row_index(LINE, offset=1)
    return frame, TableReport(file, rows=frame.height)


def _as_text(frame: pl.DataFrame, name: str) -> pl.Expr:
    if isinstance(frame.schema[name], pl.List):
        return pl.col(name).list.eval(pl.element().cast(pl.String)).list.join(LIST_SEPARATOR)
    return pl.col(name).cast(pl.String)


def json_rows(content: bytes) -> list[dict[str, Any] | None]:
    """The objects of JSON lines or of one array; None for a line that is none."""
    if content.lstrip()[:1] == b"[":
        try:
            whole = msgspec.json.decode(content)
        except msgspec.DecodeError:
            return [None]
        return [row if isinstance(row, dict) else None for row in whole]
    return [_json_object(line) for line in content.splitlines() if line.strip()]


def _json_object(line: bytes) -> dict[str, Any] | None:
    try:
        row = msgspec.json.decode(line)
    except msgspec.DecodeError:
        return None
    return row if isinstance(row, dict) else None


def json_text(value: object) -> str | None:
    """A JSON value as text: lists joined, of an object its values."""
    if value is None or value == "":
        return None
    if isinstance(value, bool):
        return "1" if value else "0"
    if isinstance(value, Mapping):
        return json_text(list(value.values()))
    if isinstance(value, list):
        return LIST_SEPARATOR.join(text for member in value if (text := json_text(member))) or None
    return str(value)


def named_values(row: Mapping[str, Any], column: str | None) -> Mapping[str, Any]:
    """The row with the members of its list of named values as columns."""
    listed = row.get(column) if column else None
    if not isinstance(listed, list):
        return row
    more = {pair["name"]: pair.get("value") for pair in listed if isinstance(pair, dict) and "name" in pair}
    return {**row, **more}


def _from_rows(
    table: TableFormat, rows: list[dict[str, Any] | None], columns: list[str]
) -> tuple[pl.DataFrame, TableReport]:
    report = TableReport(table.file, rows=len(rows))
    wanted = list(dict.fromkeys(columns))
    if broken := [line for line, row in enumerate(rows, start=1) if row is None]:
        report.drop(BROKEN, len(broken), broken[0])
    held = [(line, named_values(row, table.named_values)) for line, row in enumerate(rows, start=1) if row is not None]
    seen = set().union(*(row.keys() for _, row in held))
    if missing := [name for name in wanted if name not in seen]:
        raise MissingColumns(table.file, missing, sorted(seen), "Name its fields in data.toml")
    data: dict[str, list[Any]] = {LINE: [line for line, _ in held]}
    data |= {name: [json_text(row.get(name)) for _, row in held] for name in wanted}
    return pl.DataFrame(data, schema={LINE: pl.UInt32(), **dict.fromkeys(wanted, pl.String())}), report
