"""Reads a data set in whichever format it is: described in data.toml, MovieLens', or recognised."""

from __future__ import annotations

from dataclasses import replace

from training.data.errors import UnclearData
from training.data.files import DataFiles
from training.data.formats.data_format import FORMAT_FILE, read_format
from training.data.formats.described import read_described
from training.data.formats.proposal import is_movielens, propose
from training.data.layouts.movielens import read_tables
from training.data.layouts.raw_tables import RawTables


def read_raw(files: DataFiles, path: str) -> RawTables:
    """The raw tables; a format that was recognised is told in `taken_as`.

    path: what the files are called in messages.
    Raises: BadDataFormat, UnclearData, DataNotFound, MissingColumns, UnreadableTable.
    """
    if FORMAT_FILE in files.names:
        return read_described(files, read_format(files))
    if is_movielens(files):
        return read_tables(files)
    proposal = propose(files)
    if proposal.doubts:
        raise UnclearData(path, proposal.doubts)
    return replace(read_described(files, proposal.format), taken_as=proposal.sentence())
