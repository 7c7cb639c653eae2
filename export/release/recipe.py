"""What decides how a release comes out besides its data, as hashes: unchanged, nothing needs to be made again."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path

from export.layout import ROOT

SHARED = ("features", "training/content", "training/models")
"""Code outside export that ends up in a release: files copied into it, and networks."""

NOT_IN_A_RELEASE = ("__main__.py", "commands", "evaluation")
"""Parts of export that ask for a release or measure one."""

TRAINING_SOURCES = ("features/**/*.py", "sample/**/*.py", "sample/**/*.csv", "training/**/*.py")
"""Code that decides what `DATA=sample` and the default training options mean."""


@cache
def export_hash(precision: str, index: str = "flat") -> str:
    """Twelve digits that change when a release of the same training would come out differently."""
    whole = hashlib.sha256(f"{precision} {index}".encode())
    for path in release_sources():
        whole.update(str(path.relative_to(ROOT)).encode() + b"\0" + path.read_bytes() + b"\0")
    return whole.hexdigest()[:12]


def release_sources(root: Path = ROOT) -> list[Path]:
    """Code that shapes the files of a release, given a finished training: whatever is not known to be harmless."""
    shared = [path for package in SHARED for path in (root / package).rglob("*.py")]
    export = root / "export"
    shaping = [path for path in export.rglob("*.py") if path.relative_to(export).parts[0] not in NOT_IN_A_RELEASE]
    return sorted([*shared, *shaping])


def training_listing() -> str:
    """Hash over names, sizes and times of the training code: quick to make, and unequal after any edit."""
    return listing(_files(TRAINING_SOURCES))


def data_listing(data: Path) -> str:
    """Hash over names, sizes and times of a data set's files; of a zip's own when it is one."""
    return listing(sorted(path for path in data.rglob("*") if path.is_file()) if data.is_dir() else [data])


def listing(paths: list[Path]) -> str:
    """Hash over names, sizes and times of some files."""
    lines = []
    for path in paths:
        stat = path.stat()
        lines.append(f"{path}\0{stat.st_size}\0{stat.st_mtime_ns}")
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _files(patterns: tuple[str, ...]) -> list[Path]:
    return sorted({path for pattern in patterns for path in ROOT.glob(pattern)})
