"""The errors of reading and fetching a data set, as one family.

    DataError
    ├── DataNotFound          no such folder or zip, or nothing in it that we can read
    ├── MissingColumns        a table lacks a column
    ├── BadDataFormat         data.toml does not describe the files beside it
    ├── FormatExists          a data.toml is there already
    ├── UnclearData           the files can be read in more than one way, or in none
    ├── UnreadableTable       a table is not text, not a table, or empty
    ├── TooManyDroppedRows    more broken rows than the limit allows
    ├── NothingLeft           no film or no rating survived
    ├── TooLittleToLearn      no history is long enough for training and validation
    └── DownloadError
        ├── UnknownDownload   a name without a known address
        ├── TransferFailed    the connection or the server failed
        └── ChecksumMismatch  the bytes that came are not those that were published

Each class takes data and writes the sentence: the value, the limit where there is one, and the remedy.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path


class DataError(Exception):
    """The data cannot be used as it is."""


class DataNotFound(DataError):
    """No such folder or zip, or nothing in it that we can read."""

    def __init__(self, path: Path | str, found: Iterable[str] | None = None) -> None:
        if found is None:
            what = "there is no such folder or zip file"
        else:
            names = sorted(found)
            shown = ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")
            what = (
                "it holds neither movies.csv with ratings.csv, nor movies.dat with ratings.dat, nor u.item with "
                f"u.data, nor another table with a person and an item in each row; found: {shown or 'nothing'}"
            )
        super().__init__(
            f"no data at {path}: {what}. Give a folder or zip in MovieLens' format, or a folder or file that "
            "`python -m training describe` has described, "
            "fetch one with `python -m training download`, or write the sample with `python -m training sample`"
        )


class MissingColumns(DataError):
    """A table lacks a column."""

    def __init__(
        self, file: str, missing: Iterable[str], found: Iterable[str],
        remedy: str = "Name the columns as MovieLens does (upper and lower case matter)",
    ) -> None:  # fmt: skip
        super().__init__(
            f"{file} lacks the column {', '.join(missing)}; its first line has: {', '.join(found) or 'nothing'}. "
            f"{remedy}"
        )


class BadDataFormat(DataError):
    """data.toml does not describe the files beside it."""

    def __init__(self, file: str, why: str) -> None:
        super().__init__(
            f"{file} cannot be used: {why}. `python -m training describe FOLDER --force` proposes a new one"
        )


class FormatExists(DataError):
    """A data.toml is there already."""

    def __init__(self, path: Path) -> None:
        super().__init__(f"{path} is there already and says how its files are read. Correct it, or say --force")


class UnclearData(DataError):
    """The files can be read in more than one way, or in none."""

    def __init__(self, path: Path | str, doubts: Iterable[str]) -> None:
        super().__init__(
            f"{path} is not in MovieLens' format, and its own cannot be told for certain: {'; '.join(doubts)}. "
            f"Run `python -m training describe {path}`, which writes a proposal to data.toml: correct it there, or "
            "with the command's options"
        )


class UnreadableTable(DataError):
    """A table is not text, not a table, or empty."""

    def __init__(self, file: str, why: str) -> None:
        super().__init__(f"{file} cannot be read: {why}")


class TooManyDroppedRows(DataError):
    """More broken rows than the limit allows."""

    def __init__(
        self, file: str, rows: int, dropped: Mapping[str, int], places: Mapping[str, str], limit: float
    ) -> None:
        total = sum(dropped.values())
        reasons = "; ".join(f"{count} {reason} (first at {places[reason]})" for reason, count in dropped.items())
        super().__init__(
            f"{file}: {total} of {rows} rows cannot be used ({total / rows:.2%}), the limit is {limit:.2%}: {reasons}. "
            "Mend the file, or take these rows out of it; where columns have another unit or scale, "
            "`python -m training describe` writes a data.toml that says so"
        )


class NothingLeft(DataError):
    """No film or no rating survived."""

    def __init__(self, file: str) -> None:
        super().__init__(f"{file} holds no usable row; at least one film and one rating are needed")


class TooLittleToLearn(DataError):
    """No history is long enough for training and validation."""

    def __init__(self, people: int, busiest: int) -> None:
        super().__init__(
            f"of {people} people nobody who can be trained on has rated more than {busiest} films, and 7 are needed: "
            "each person's newest 5, and the last fifth of people to arrive, are kept back to choose epochs and "
            "weights by. Bring people with longer histories"
        )


class DownloadError(DataError):
    """A data set could not be fetched."""


class UnknownDownload(DownloadError):
    """A name without a known address."""

    def __init__(self, name: str, known: Iterable[str]) -> None:
        super().__init__(f"no data set is called {name!r}; known are {', '.join(known)}")


class TransferFailed(DownloadError):
    """The connection or the server failed."""

    def __init__(self, url: str, why: str, kept_bytes: int = 0) -> None:
        kept = f" {kept_bytes:,} bytes are kept, the next attempt continues from there." if kept_bytes else ""
        super().__init__(
            f"could not fetch {url}: {why}.{kept} Run the command again, or fetch the file by other means "
            "and give its path as the data"
        )


class ChecksumMismatch(DownloadError):
    """The bytes that came are not those that were published."""

    def __init__(self, url: str, expected: str, actual: str) -> None:
        super().__init__(
            f"{url} arrived damaged: its md5 is {actual}, published is {expected}. "
            "The file was deleted; run the command again"
        )
