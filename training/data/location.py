"""Resolves `DATA`: the embedded sample, a path, or a downloaded data set."""

from __future__ import annotations

from pathlib import Path

from sample import embedded_sample
from training.data.errors import DataNotFound

SAMPLE = "sample"
"""The name of the embedded sample, and the default."""


def locate_data(data: str, home: Path) -> Path:
    """Folder or zip that `read_dataset` can read.

    data: `sample` (written below `home` when it is not there yet), a path, or the name of a data set that
    `python -m training download` put below `home`, such as `ml-25m`.
    Raises DataNotFound.
    """
    if data == SAMPLE:
        return embedded_sample(home)
    for candidate in (Path(data).expanduser(), download_folder(home) / f"{data}.zip"):
        if candidate.exists():
            return candidate
    raise DataNotFound(data)


def download_folder(home: Path) -> Path:
    """The folder of downloads."""
    return home / "data"
