"""Publishing a release: all of its models appear under one new number, or none is served.

Files are written to `<model>/.partial-<number>/`, which servers do not take for a version, then renamed to
`<model>/<number>/`; `release.json` names the release last. A crash in between leaves the former release as it was,
and the next run removes what is left behind.
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from export.durable_files import exclusive, sync_folder, sync_tree
from export.errors import UnknownRelease
from export.layout import MODELS, version_folder
from export.release.manifest import read_manifest, write_manifest
from features.release_manifest import FileFacts, Manifest, ReleaseFacts

LOCK_NAME = ".export.lock"
PARTIAL_PREFIX = ".partial-"
"""Not "<number>.partial": Triton reads the digits at the start of a folder's name and ignores the rest."""


@dataclass(frozen=True, slots=True)
class Draft:
    """A release being written: its number, and where its files go until it is published."""

    repository: Path
    number: int

    def folder(self, model: str) -> Path:
        """The model's folder for this release's files, made when missing."""
        folder = self.repository / model / f"{PARTIAL_PREFIX}{self.number}"
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def files(self, model: str) -> dict[str, FileFacts]:
        """Checksum and size of each file written for a model, by its path inside the version folder."""
        folder = self.folder(model)
        return {
            str(path.relative_to(folder)): FileFacts.of(path) for path in sorted(folder.rglob("*")) if path.is_file()
        }


@contextlib.contextmanager
def repository_lock(repository: Path) -> Iterator[None]:
    """Lock a repository for a change; other processes wait."""
    with exclusive(repository / LOCK_NAME):
        yield


def open_draft(repository: Path) -> Draft:
    """Begin the next release, after removing what crashed runs left. Call with the repository's lock held.

    The number is one above every number ever seen here, leftovers included: a server that looked at the
    leftovers must not take the new files for them.
    Raises: ManifestUnreadable.
    """
    manifest = read_manifest(repository)
    numbers = {0, *manifest.releases, *(number for _, number in stray_versions(repository, manifest))}
    remove_leftovers(repository, manifest)
    return Draft(repository, max(numbers) + 1)


def publish(draft: Draft, release: ReleaseFacts, keep: int) -> None:
    """Make a draft the current release; of the older ones, the newest `keep` - 1 stay, and the one that was current.

    That one is served at the moment, and when somebody went back to it there is no better one to go back to again.
    Call with the lock held.
    """
    for model in release.models:
        sync_tree(draft.folder(model))
    for model in release.models:
        draft.folder(model).rename(version_folder(draft.repository, model, draft.number))
        sync_folder(draft.repository / model)
    manifest = read_manifest(draft.repository)
    kept = dict(sorted(manifest.releases.items())[-(keep - 1) :] if keep > 1 else ())
    if manifest.current in manifest.releases:
        kept[manifest.current] = manifest.releases[manifest.current]
    kept[draft.number] = release
    write_manifest(draft.repository, manifest.with_current(draft.number, kept))
    remove_leftovers(draft.repository, read_manifest(draft.repository))


def make_current(repository: Path, number: int) -> None:
    """Let servers start with another release of the repository. Lock held.

    Raises: UnknownRelease, ManifestUnreadable.
    """
    manifest = read_manifest(repository)
    if number not in manifest.releases:
        raise UnknownRelease(number, manifest.releases)
    write_manifest(repository, manifest.with_current(number, manifest.releases))


def stray_versions(repository: Path, manifest: Manifest) -> list[tuple[Path, int]]:
    """Version folders of our models that belong to no release, with their numbers."""
    return [
        (folder, int(folder.name))
        for model in MODELS
        for folder in sorted((repository / model).glob("[1-9]*"))
        if folder.name.isdecimal() and not _names(manifest.releases, model, int(folder.name))
    ]


def remove_leftovers(repository: Path, manifest: Manifest) -> None:
    """Delete unfinished folders, and version folders that belong to no release."""
    partial = [folder for model in MODELS for folder in (repository / model).glob(f"{PARTIAL_PREFIX}*")]
    for folder in (*partial, *(folder for folder, _ in stray_versions(repository, manifest))):
        shutil.rmtree(folder)


def _names(releases: Mapping[int, ReleaseFacts], model: str, number: int) -> bool:
    return number in releases and model in releases[number].models
