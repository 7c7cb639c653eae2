"""Reading and writing the `release.json` of a repository; `features.release_manifest` says what is in it."""

from __future__ import annotations

from pathlib import Path

from export.durable_files import write_atomically
from export.errors import ManifestUnreadable, UnknownRelease
from features.release_manifest import MANIFEST, Manifest, ManifestError, ReleaseFacts


def read_manifest(repository: Path) -> Manifest:
    """The repository's manifest; an empty one when there is no release.json.

    Raises: ManifestUnreadable (not such a JSON file, or of another format).
    """
    path = repository / MANIFEST
    try:
        return Manifest.decode(path.read_bytes())
    except FileNotFoundError:
        return Manifest.empty()
    except ManifestError as error:
        raise ManifestUnreadable(path, error) from error


def release_of(manifest: Manifest, number: int | None = None) -> tuple[int, ReleaseFacts]:
    """A release and its number; the current one when None.

    Raises: UnknownRelease.
    """
    wanted = manifest.current if number is None else number
    if wanted is None or wanted not in manifest.releases:
        raise UnknownRelease(wanted, manifest.releases)
    return wanted, manifest.releases[wanted]


def write_manifest(repository: Path, manifest: Manifest) -> None:
    """Replace the repository's release.json in one step."""
    write_atomically(repository / MANIFEST, manifest.encode())
