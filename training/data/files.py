"""One view of a data set's files, whether they lie in a folder or inside a zip.

A zip is read where it is; only its posters are unpacked, because models open them by path.
"""

from __future__ import annotations

import atexit
import hashlib
import re
import shutil
import tempfile
import zipfile
import zlib
from collections.abc import Iterable
from functools import cached_property
from io import BufferedIOBase
from pathlib import Path, PurePosixPath
from typing import Protocol, cast

from features.ids import Id, id_of
from training.data.errors import DataNotFound, UnreadableTable

_POSTER = re.compile(r"posters/([^/]+)\.jpe?g")
_MARKERS = (("data.toml",), ("movies.csv", "ratings.csv"), ("movies.dat", "ratings.dat"), ("u.item", "u.data"))
"""Files that together identify a data set."""
TABLE_SUFFIXES = (".csv", ".tsv", ".txt", ".dat", ".data", ".parquet", ".jsonl", ".ndjson", ".json", ".inter", ".item")
"""Endings of tables, before `.gz` where they are packed."""
DAMAGED_ZIP = (zipfile.BadZipFile, zlib.error, EOFError)
"""What reading a damaged zip raises."""


class DataFiles(Protocol):
    """Files of one data set by their path below its root, with `/` as the separator."""

    name: str
    """The data set's name: that of its folder."""
    names: frozenset[str]

    def open(self, name: str) -> BufferedIOBase:
        """The file's bytes as a stream."""

    def table(self, name: str) -> Path | bytes:
        """A path where there is one, else the bytes: what polars reads fastest."""

    def poster_paths(self) -> dict[Id, Path]:
        """movie_id → path of `posters/<movie_id>.jpg`."""


def open_data_files(path: Path) -> DataFiles:
    """Find the data set in a folder or zip: at its top, or in the one folder below it that holds one.

    Raises DataNotFound.
    """
    if path.is_dir():
        root = _find_root(path, (file.relative_to(path).as_posix() for file in _shallow_files(path)))
        return FolderFiles(path / root)
    if zipfile.is_zipfile(path):
        return ZipFiles(path)
    if path.suffix.lower() == ".zip" and path.exists():
        raise UnreadableTable(str(path), "it is not a whole zip file; fetch it again")
    if path.exists():
        if not is_table(path.name):
            raise DataNotFound(path, [path.name])
        return FolderFiles(path.parent, path.name)
    raise DataNotFound(path)


def is_table(name: str) -> bool:
    """Whether a file's name is that of a table at the top of a data set."""
    return "/" not in name and name.lower().removesuffix(".gz").endswith(TABLE_SUFFIXES)


def content_sha256(files: DataFiles, names: Iterable[str]) -> str:
    """Hash over the names and bytes of some files; the order of `names` and the folder's place do not matter."""
    whole = hashlib.sha256()
    for name in sorted(names):
        with files.open(name) as stream:
            whole.update(name.encode() + b"\0" + hashlib.file_digest(stream, "sha256").digest())
    return whole.hexdigest()


def poster_names(files: DataFiles) -> dict[Id, str]:
    """movie_id → the poster's path below the root."""
    return {id_of(found.group(1)): name for name in sorted(files.names) if (found := _POSTER.fullmatch(name))}


class FolderFiles:
    """A data set in a folder, or in one file of it."""

    def __init__(self, root: Path, only: str | None = None) -> None:
        """only: the file that is meant, where it is not the whole folder; data.toml and posters/ count nevertheless."""
        self.root = root
        self.name = root.resolve().name if only is None else only.split(".")[0]
        names = (
            file.relative_to(root).as_posix()
            for folder in (root, root / "posters")
            if folder.is_dir()
            for file in folder.iterdir()
            if file.is_file()
        )
        self.names = frozenset(name for name in names if only in (None, name) or not is_table(name))

    def open(self, name: str) -> BufferedIOBase:
        """The file's bytes as a stream."""
        return (self.root / name).open("rb")

    def table(self, name: str) -> Path:
        """The file's path."""
        return self.root / name

    def poster_paths(self) -> dict[Id, Path]:
        """movie_id → path of `posters/<movie_id>.jpg`."""
        return {movie_id: self.root / name for movie_id, name in poster_names(self).items()}


class ZipFiles:
    """A data set inside a zip, as GroupLens publishes them. Raises UnreadableTable when the zip is damaged."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._zip = zipfile.ZipFile(path)
        entries = [entry.filename for entry in self._zip.infolist() if not entry.is_dir()]
        self._root = _find_root(path, entries)
        prefix = "" if self._root == "." else f"{self._root}/"
        self.names = frozenset(entry.removeprefix(prefix) for entry in entries if entry.startswith(prefix))
        self.name = path.stem if self._root == "." else PurePosixPath(self._root).name

    def open(self, name: str) -> BufferedIOBase:
        """The file's bytes, unpacked while they are read."""
        entry = name if self._root == "." else f"{self._root}/{name}"
        return cast(BufferedIOBase, self._zip.open(entry))

    def table(self, name: str) -> bytes:
        """The whole file, unpacked in memory."""
        with self.open(name) as stream:
            return stream.read()

    def poster_paths(self) -> dict[Id, Path]:
        """movie_id → path of the poster, unpacked into a folder that is removed when the process ends."""
        return self._unpacked_posters

    @cached_property
    def _unpacked_posters(self) -> dict[Id, Path]:
        wanted = poster_names(self)
        if not wanted:
            return {}
        folder = Path(tempfile.mkdtemp(prefix="marquee-posters-"))
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        for movie_id, name in wanted.items():
            (folder / f"{movie_id}.jpg").write_bytes(self.table(name))
        return {movie_id: folder / f"{movie_id}.jpg" for movie_id in wanted}


def _shallow_files(folder: Path) -> Iterable[Path]:
    """Files at the top of a folder and one level below."""
    return (file for pattern in ("*", "*/*") for file in folder.glob(pattern) if file.is_file())


def _find_root(path: Path, names: Iterable[str]) -> str:
    """Folder (relative, `.` for the top) that holds a data set, or else tables. Raises DataNotFound."""
    listed = sorted(names)
    by_folder: dict[str, set[str]] = {}
    for name in listed:
        by_folder.setdefault(str(PurePosixPath(name).parent), set()).add(PurePosixPath(name).name)
    marked = [folder for folder, held in by_folder.items() if any(held.issuperset(marker) for marker in _MARKERS)]
    holding = marked or [folder for folder, held in by_folder.items() if any(map(is_table, held))]
    if "." in holding:
        return "."
    if len(holding) == 1:
        return holding[0]
    raise DataNotFound(path, listed)
