"""What looks wrong in files of events although they can be read: a cut last line, one item in most rows."""

from __future__ import annotations

import io
from collections import deque
from collections.abc import Iterable

import polars as pl

from training.data.files import DataFiles

SHARE_OF_ONE_ITEM = 0.5
"""Of all rows: more say that the column of items holds something else, or that one item is an advertisement."""
_ENOUGH_ROWS = 100
_TAIL_BYTES = 4096
_COMPARED_LINES = 20
_TEXT_SUFFIXES = (".csv", ".tsv", ".txt", ".dat", ".data", ".inter")


def cut_lines(files: DataFiles, names: Iterable[str]) -> tuple[str, ...]:
    """A sentence for each file of text that ends without a line break, in a line shorter than all before it.

    A last line without a line break alone is no fault: many programs write it so.
    """
    found = []
    for name in names:
        if not name.lower().endswith(_TEXT_SUFFIXES):
            continue
        tail = _tail(files, name)
        lines = tail.rstrip(b"\0").split(b"\n")[1:]
        *before, last = lines if len(lines) > 1 else [b"", b""]
        compared = [len(line.rstrip(b"\r")) for line in before[-_COMPARED_LINES:] if line.strip()]
        if last.strip() and compared and len(last) < min(compared):
            found.append(
                f"the last line of {name} seems cut off: {last.decode(errors='replace')!r} has {len(last)} characters "
                f"and no line break, those before it {min(compared)} and more. Copy the file again, or end it with "
                "a line break"
            )
    return tuple(found)


def frequent_item(ratings: pl.DataFrame) -> tuple[str, ...]:
    """A sentence where one item is in half of all rows or more; ratings has a column movieId."""
    rows = ratings.height
    if rows < _ENOUGH_ROWS:
        return ()
    item, count = ratings["movieId"].value_counts(sort=True).row(0)
    if count < SHARE_OF_ONE_ITEM * rows:
        return ()
    return (
        f"the item {item} is in {count:,} of {rows:,} rows ({count / rows:.0%}): look whether the column of items is "
        "the right one",
    )


def _tail(files: DataFiles, name: str) -> bytes:
    """The last bytes of a file."""
    with files.open(name) as stream:
        if stream.seekable():
            size = stream.seek(0, io.SEEK_END)
            stream.seek(max(0, size - _TAIL_BYTES))
            return stream.read()
        return b"".join(deque(iter(lambda: stream.read(_TAIL_BYTES), b""), maxlen=2))
