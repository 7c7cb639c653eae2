"""Publishing: all or nothing, numbers that are never used twice, leftovers removed."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from export.errors import ManifestUnreadable, UnknownRelease
from export.release import publish as module
from export.release.manifest import read_manifest, release_of, write_manifest
from export.release.publish import make_current, open_draft, publish, repository_lock
from export.release.validate import validate
from features.release_manifest import FileFacts, Manifest, ReleaseFacts


class PowerCut(Exception):
    """Stands for the process ending at this point."""


def publish_copy(repository: Path, keep: int = 3) -> int:
    """Publish the newest release's files once more."""
    manifest = read_manifest(repository)
    number, newest = release_of(manifest, max(manifest.releases))
    draft = open_draft(repository)
    for model in newest.models:
        for name in newest.models[model].files:
            (draft.folder(model) / name).parent.mkdir(exist_ok=True)
            (draft.folder(model) / name).write_bytes((repository / model / str(number) / name).read_bytes())
    publish(draft, newest, keep)
    return draft.number


def versions(repository: Path, model: str) -> list[str]:
    return sorted(path.name for path in (repository / model).iterdir() if path.is_dir())


def test_the_next_release_has_the_next_number_and_is_current(repository: Path) -> None:
    assert publish_copy(repository) == 2
    assert read_manifest(repository).current == 2
    assert versions(repository, "retrieval") == ["1", "2"]
    assert validate(repository, 1) == validate(repository, 2) == []


def test_old_releases_are_removed_beyond_the_number_kept(repository: Path) -> None:
    for _ in range(3):
        publish_copy(repository, keep=2)
    assert set(read_manifest(repository).releases) == {3, 4}
    assert versions(repository, "ease") == ["3", "4"]


def test_the_release_that_somebody_went_back_to_is_kept(repository: Path) -> None:
    for _ in range(2):
        publish_copy(repository)
    make_current(repository, 1)
    assert publish_copy(repository, keep=2) == 4
    assert set(read_manifest(repository).releases) == {1, 3, 4}
    assert validate(repository, 1) == []


@pytest.mark.parametrize("crash_after", [0, 1, 7, 14, 15])
def test_a_crash_while_publishing_leaves_the_former_release(
    repository: Path, crash_after: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Power fails after some of the fifteen renames, or before release.json is written."""
    done = 0
    rename = Path.rename

    def failing_rename(path: Path, target: Path) -> Path:
        nonlocal done
        if done == crash_after:
            raise PowerCut
        done += 1
        return rename(path, target)

    def no_manifest(repository: Path, manifest: Manifest) -> None:
        raise PowerCut

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", failing_rename)
        patch.setattr(module, "write_manifest", no_manifest)
        with pytest.raises(PowerCut):
            publish_copy(repository)
    assert read_manifest(repository).current == 1
    damage = [problem for problem in validate(repository) if "belongs to no release" not in problem.what]
    assert damage == []
    number = publish_copy(repository)
    assert validate(repository) == []
    assert versions(repository, "hybrid_candidates") == ["1", str(number)]
    assert number == (3 if crash_after else 2), "a number that a server may have seen is not used again"


class Disk:
    """Follows what was made durable and what got another name."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.renamed: list[tuple[Path, Path]] = []
        self.lost_at: list[list[str]] = []
        """At each renaming, what under the old name a power cut would have taken."""
        self._durable: set[Path] = set()
        self._fsync = os.fsync
        patch.setattr(os, "fsync", self.fsync)
        for way in ("rename", "replace"):
            patch.setattr(Path, way, self.moving(getattr(Path, way)))

    def fsync(self, descriptor: int) -> None:
        self._fsync(descriptor)
        self._durable.add(Path(os.readlink(f"/proc/self/fd/{descriptor}")))

    def moving(self, move: Callable[[Path, Path], Path]) -> Callable[[Path, Path], Path]:
        def moved(path: Path, target: Path) -> Path:
            inside = {path, *path.rglob("*")}
            self.lost_at.append(sorted(str(lost) for lost in inside - self._durable))
            self.renamed.append((path, target))
            self._durable.discard(path.parent)  # the new name is not on the disk yet
            return move(path, target)

        return moved

    def is_durable(self, path: Path) -> bool:
        return path in self._durable


def test_files_are_on_the_disk_before_they_are_named(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = repository / "ease" / "1" / "nested"
    folder.mkdir()
    (folder / "more.bin").write_bytes(b"more")
    manifest = read_manifest(repository)
    facts = replace(manifest.releases[1].models["ease"], files={"nested/more.bin": FileFacts("", 4)})
    models = {**manifest.releases[1].models, "ease": facts}
    write_manifest(repository, manifest.with_current(1, {1: replace(manifest.releases[1], models=models)}))
    disk = Disk(monkeypatch)
    publish_copy(repository)
    assert len(disk.renamed) == len(models) + 1
    assert disk.lost_at == [[]] * len(disk.renamed)


def test_a_release_is_named_when_the_names_of_its_folders_are_on_the_disk(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = Disk(monkeypatch)
    durable: dict[str, bool] = {}
    write = module.write_manifest

    def write_and_look(repository: Path, manifest: Manifest) -> None:
        durable.update({model: disk.is_durable(repository / model) for model in manifest.releases[2].models})
        write(repository, manifest)

    monkeypatch.setattr(module, "write_manifest", write_and_look)
    publish_copy(repository)
    assert durable == dict.fromkeys(read_manifest(repository).releases[2].models, True)
    assert disk.renamed[-1][1] == repository / "release.json"
    assert disk.is_durable(repository)


def test_a_draft_begins_empty_after_a_crash(repository: Path) -> None:
    crashed = open_draft(repository)
    (crashed.folder("ease") / "stale.bin").write_bytes(b"of a release that never was")
    draft = open_draft(repository)
    assert draft.folder("ease") == crashed.folder("ease")
    assert draft.files("ease") == {}


def test_making_an_older_release_current(repository: Path) -> None:
    publish_copy(repository)
    make_current(repository, 1)
    assert read_manifest(repository).current == 1
    with pytest.raises(UnknownRelease, match="release 9 is not there; the repository has: 1, 2"):
        make_current(repository, 9)


def test_other_models_of_a_shared_repository_are_left_alone(repository: Path) -> None:
    foreign = repository / "somebody_elses_model" / "7"
    foreign.mkdir(parents=True)
    publish_copy(repository)
    assert foreign.is_dir()


def test_a_manifest_survives_being_written_and_read(repository: Path) -> None:
    manifest = read_manifest(repository)
    changed = replace(manifest.releases[1], created_at="2030-01-01T00:00:00+00:00")
    write_manifest(repository, manifest.with_current(1, {1: changed}))
    assert read_manifest(repository).releases == {1: changed}


def test_a_repository_without_releases_is_empty(tmp_path: Path) -> None:
    assert read_manifest(tmp_path) == Manifest.empty()
    with pytest.raises(UnknownRelease, match="no release is current; the repository has: none"):
        release_of(read_manifest(tmp_path))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"{", "truncated"),
        (b'{"format": 2, "current": 1, "releases": {}}', "format 2, this version of Marquee reads 1"),
        (b'{"format": 1, "current": "1", "releases": {}}', "Expected `int | null`, got `str`"),
    ],
)
def test_a_damaged_manifest_is_named(content: bytes, reason: str, tmp_path: Path) -> None:
    (tmp_path / "release.json").write_bytes(content)
    with pytest.raises(ManifestUnreadable, match=r"release\.json cannot be read") as caught:
        read_manifest(tmp_path)
    assert reason in str(caught.value)


def _take_lock(repository: Path, taken: Any, may_go: Any) -> None:
    with repository_lock(repository):
        taken.set()
        may_go.wait()


def test_one_process_at_a_time_changes_a_repository(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    taken, may_go = context.Event(), context.Event()
    other = context.Process(target=_take_lock, args=(tmp_path, taken, may_go))
    other.start()
    assert taken.wait(60)
    order = []

    def on_wait() -> None:
        order.append("waited")
        may_go.set()

    with module.exclusive(tmp_path / module.LOCK_NAME, on_wait):
        order.append("held")
    other.join(60)
    assert order == ["waited", "held"]
    assert other.exitcode == 0


def test_a_release_is_plain_data(repository: Path) -> None:
    assert isinstance(read_manifest(repository).releases[1], ReleaseFacts)
