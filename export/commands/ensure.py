"""The release for some data: the one that is there when it is whole and up to date, else a new one.

Nothing to do is the common case, and quick: neither torch nor polars is imported for it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import msgspec

from export.commands.release_options import ReleaseOptions
from export.durable_files import exclusive, write_atomically
from export.release.manifest import read_manifest
from export.release.recipe import data_listing, export_hash, training_listing
from export.release.validate import Problem, file_problems
from features.release_manifest import Manifest, Recipe, ReleaseFacts


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a release must have been made from."""

    fingerprint: str
    """Of the data."""
    recipe: Recipe


@dataclass(frozen=True, slots=True)
class Memo:
    """What was found out about some `ReleaseOptions`; true as long as the listings are."""

    training_listing: str
    data_path: str
    data_listing: str
    fingerprint: str
    options_hash: str


@dataclass(frozen=True, slots=True)
class Ensured:
    """The release to serve."""

    number: int
    made: bool
    """True when it was trained or exported just now."""


def ensure(
    options: ReleaseOptions, repository: Path, home: Path, make: Callable[[], int], say: Callable[[str], None]
) -> Ensured:
    """The number of a whole release of the chosen training, made by `make` when there is none.

    make: trains and exports, returns the number. say: told why a release is made. Processes that want a release
    at the same time wait for the first one and use what it made.
    Raises: ManifestUnreadable, and what reading data and `make` raise.
    """
    found = find_release(remembered(options, home) or looked_up(options, home), repository)
    if not isinstance(found, int):
        with exclusive(home / ".export.lock", lambda: say("Another process is making a release; waiting for it")):
            found = find_release(remembered(options, home) or looked_up(options, home), repository)
            if not isinstance(found, int):
                say(found)
                return Ensured(make(), made=True)
    return Ensured(found, made=False)


def find_release(wanted: Wanted, repository: Path) -> int | str:
    """The newest whole release that was made as wanted, or in words why there is none."""
    manifest = read_manifest(repository)
    matching = sorted(_made_as(manifest, wanted), reverse=True)
    damage = []
    for number in matching:
        release = manifest.releases[number]
        problems = [*file_problems(repository, number, release), *_missing_configs(repository, release)]
        if not problems:
            return number
        damage.append(f"release {number} is damaged ({problems[0]})")
    if damage:
        return "; ".join(damage)
    if manifest.releases:
        return f"no release in {repository} was made from these data by this version's models"
    return f"{repository} holds no release yet"


def remembered(options: ReleaseOptions, home: Path) -> Wanted | None:
    """What options stand for, without reading the data; None when anything changed since they were read."""
    memo = _read_memos(home).get(options.key)
    if memo is None or memo.training_listing != training_listing():
        return None
    path = Path(memo.data_path)
    if not path.exists() or memo.data_listing != data_listing(path):
        return None
    return Wanted(memo.fingerprint, Recipe(memo.options_hash, export_hash(options.precision, options.released_index)))


def looked_up(options: ReleaseOptions, home: Path) -> Wanted:
    """What options stand for, by reading the data; written down for the next time.

    Raises: training.data.errors.DataError.
    """
    from training.data.dataset import read_dataset
    from training.data.location import locate_data

    path = locate_data(options.data, home).resolve()
    fingerprint, options_hash = read_dataset(path).fingerprint, options.train_options().hash
    memo = Memo(training_listing(), str(path), data_listing(path), fingerprint, options_hash)
    home.mkdir(parents=True, exist_ok=True)
    write_atomically(_memo_path(home), msgspec.json.encode(_read_memos(home) | {options.key: memo}))
    return Wanted(fingerprint, Recipe(options_hash, export_hash(options.precision, options.released_index)))


def _made_as(manifest: Manifest, wanted: Wanted) -> list[int]:
    return [
        number
        for number, release in manifest.releases.items()
        if (release.data.fingerprint, release.recipe) == (wanted.fingerprint, wanted.recipe)
    ]


def _missing_configs(repository: Path, release: ReleaseFacts) -> list[Problem]:
    return [
        Problem(model, "has no config.pbtxt")
        for model in release.models
        if not (repository / model / "config.pbtxt").is_file()
    ]


def _memo_path(home: Path) -> Path:
    return home / "export-memo.json"


def _read_memos(home: Path) -> dict[str, Memo]:
    try:
        return msgspec.json.decode(_memo_path(home).read_bytes(), type=dict[str, Memo])
    except (FileNotFoundError, msgspec.MsgspecError):
        return {}  # it only saves time, and is written again
