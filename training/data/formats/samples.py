"""The beginning of a table and how it is written: separator, header, encoding. Guessed, for a proposal."""

from __future__ import annotations

import codecs
import csv
import io
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath

import polars as pl

from training.data.errors import DataError, UnreadableTable
from training.data.files import DataFiles
from training.data.formats.column_names import is_known
from training.data.formats.data_format import Encoding
from training.data.formats.text_tables import (
    as_utf8,
    header_of,
    json_rows,
    json_text,
    kind_of,
    named_values,
    text_frame,
    unpacked,
)
from training.data.layouts.csv_tables import LINE, SURPLUS

SAMPLE_BYTES = 2_000_000
SAMPLE_ROWS = 50_000
_SEPARATORS = ("::", "\t", ";", "|", ",")
_COMPARED_LINES = 100
_KIND, _KINDS = "event", ("interaction", "item")
"""The field of metarank's events that says what they are, and the kinds that matter here."""
_CONSISTENT = 0.8
"""Share of lines that must have equally many fields for a separator to be believed."""


@dataclass(frozen=True, slots=True)
class Sample:
    """The first rows of a file, as text."""

    file: str
    frame: pl.DataFrame
    """Without `line`."""
    separator: str = ","
    header: bool = True
    encoding: Encoding = "utf-8"
    named_values: str | None = None
    whole: bool = True
    """Whether these are all rows."""
    only: dict[str, list[str]] = field(default_factory=dict)
    """The rows of the file that these are, where it holds several kinds."""
    named_twice: tuple[str, ...] = ()
    """Names that two columns have; these are called `column_1` and so on here."""

    @property
    def columns(self) -> list[str]:
        """Names of the columns."""
        return self.frame.columns

    def values(self, column: str) -> pl.Series:
        """What a column holds where it holds anything."""
        return self.frame[column].str.strip_chars().drop_nulls()

    @property
    def stem(self) -> str:
        """The file's name without its endings, in lower case."""
        return PurePosixPath(self.file).name.split(".")[0].lower()


def samples_of(files: DataFiles, file: str, separator: str | None = None, header: bool | None = None) -> list[Sample]:
    """The beginning of a file, as one sample for each kind of its rows; none where it is no table with rows.

    separator, header: where they are known.
    """
    sample = sample_of(files, file, separator, header)
    if sample is None or not sample.frame.height:
        return []
    if kind_of(file) != "json" or _KIND not in sample.columns:
        return [sample]
    kinds = [kind for kind in sample.frame[_KIND].unique(maintain_order=True) if kind in _KINDS]
    return [_of_kind(sample, kind) for kind in kinds] or [sample]


def _of_kind(sample: Sample, kind: str) -> Sample:
    rows = sample.frame.filter(pl.col(_KIND) == kind).drop(_KIND)
    used = [column for column in rows.columns if rows[column].null_count() < rows.height]
    # An event's own id is no item's.
    return replace(sample, frame=rows.select(used).drop("id", strict=False), only={_KIND: [kind]})


def sample_of(files: DataFiles, file: str, separator: str | None = None, header: bool | None = None) -> Sample | None:
    """The beginning of a file; None where it is no table. separator, header: where they are known."""
    try:
        kind = kind_of(file)
        if kind == "parquet":
            return _parquet_sample(files, file)
        content = unpacked(files, file, SAMPLE_BYTES)
        whole = len(content) < SAMPLE_BYTES
        if not whole and not content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            content = content[: content.rfind(b"\n") + 1]
        if kind == "json":
            return _json_sample(file, content, whole)
        return _text_sample(file, content, whole, separator, header)
    except DataError:
        return None


def _parquet_sample(files: DataFiles, file: str) -> Sample:
    source = files.table(file)
    try:
        frame = pl.read_parquet(source, n_rows=SAMPLE_ROWS)
    except (pl.exceptions.ComputeError, OSError) as error:
        raise UnreadableTable(file, "it is no Parquet file") from error
    texts = [
        pl.col(name).list.eval(pl.element().cast(pl.String)).list.join("|")
        if isinstance(kind, pl.List)
        else pl.col(name).cast(pl.String)
        for name, kind in frame.schema.items()
        if not isinstance(kind, pl.Struct | pl.Binary)
    ]
    return Sample(file, frame.select(texts), whole=frame.height < SAMPLE_ROWS)


def _json_sample(file: str, content: bytes, whole: bool) -> Sample | None:
    rows = [row for row in json_rows(content) if row is not None]
    if not rows:
        return None
    listing = next(
        (
            column
            for row in rows
            for column, value in row.items()
            if isinstance(value, list) and value and all(isinstance(pair, dict) and "name" in pair for pair in value)
            and all("value" in pair for pair in value)
        ),
        None,
    )  # fmt: skip
    flat = [named_values(row, listing) for row in rows]
    names = list(dict.fromkeys(name for row in flat for name in row))
    data = {name: [json_text(row.get(name)) for row in flat] for name in names}
    return Sample(
        file, pl.DataFrame(data, schema=dict.fromkeys(names, pl.String())), named_values=listing, whole=whole
    )  # fmt: skip


def _text_sample(file: str, content: bytes, whole: bool, separator: str | None, header: bool | None) -> Sample | None:
    encoding = _encoding(content)
    text = as_utf8(file, content, encoding)
    lines = text.decode(errors="replace").splitlines()[:_COMPARED_LINES]
    if not any(line.strip() for line in lines):
        return None
    separator = separator or _separator(lines)
    names = header_of(lines[0], separator)
    rows = [fields for line in lines[1:] if line.strip() and (fields := header_of(line, separator))]
    header = _has_header(names, rows) if header is None else header
    twice = tuple(dict.fromkeys(name for name in names if header and name and names.count(name) > 1))
    names = [
        name if header and name and names.count(name) == 1 else f"column_{at}" for at, name in enumerate(names, start=1)
    ]
    frame = text_frame(file, text, separator, names, int(header), quoted=b'"' in text)
    return Sample(
        file, frame.head(SAMPLE_ROWS).drop(LINE, SURPLUS), separator, header, encoding, whole=whole, named_twice=twice
    )


def _encoding(content: bytes) -> Encoding:
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        decoder.decode(content)  # a character that the sample cuts off at its end is no error
    except UnicodeDecodeError:
        return "latin-1"
    return "utf-8"


def _separator(lines: Sequence[str]) -> str:
    """The separator that cuts most lines into equally many fields; the most fields win."""
    best, most = ",", 1
    for separator in _SEPARATORS:
        if separator not in lines[0]:
            continue
        delimiter = separator if len(separator) == 1 else "\x1f"
        text = "\n".join(line.replace(separator, delimiter) for line in lines if line.strip())
        counts = Counter(len(fields) for fields in csv.reader(io.StringIO(text), delimiter=delimiter))
        width, rows = counts.most_common(1)[0]
        if width > most and rows / counts.total() >= _CONSISTENT:
            best, most = separator, width
    if most == 1 and all(len(line.split(" ")) == len(lines[0].split(" ")) > 1 for line in lines if line.strip()):
        return " "
    return best


def _has_header(names: Sequence[str], rows: Sequence[Sequence[str]]) -> bool:
    """Whether the first line names the columns: a known name, or words above numbers."""
    if any(is_known(name) for name in names):
        return True
    if any(_is_number(name) for name in names) or not rows:
        return False
    return any(all(_is_number(row[at]) for row in rows if len(row) > at) for at in range(len(names)))


def _is_number(text: str) -> bool:
    try:
        float(text.strip().replace(",", "."))
    except ValueError:
        return False
    return True
