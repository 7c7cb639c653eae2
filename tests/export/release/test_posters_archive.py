"""The posters of a release, as one file."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from export.release import posters_archive
from export.release.posters_archive import write_posters
from features.catalog import Catalog, Film

CATALOG = Catalog([Film(10, "a"), Film(20, "b"), Film(30, "c")])


@pytest.fixture
def posters(tmp_path: Path) -> dict[int, Path]:
    paths = {2: tmp_path / "30.jpg", 0: tmp_path / "first.png"}
    for row, path in paths.items():
        path.write_bytes(b"picture %d" % row)
    return paths


def test_posters_are_kept_as_they_are_under_their_movie_id(posters: dict[int, Path], tmp_path: Path) -> None:
    write_posters(tmp_path / "posters.zip", CATALOG, posters)
    with zipfile.ZipFile(tmp_path / "posters.zip") as archive:
        assert archive.namelist() == ["10.jpg", "30.jpg"]
        assert archive.read("30.jpg") == b"picture 2"
        assert archive.getinfo("10.jpg").compress_type == zipfile.ZIP_STORED


def test_equal_posters_give_an_equal_file(posters: dict[int, Path], tmp_path: Path) -> None:
    for name in ("one.zip", "two.zip"):
        write_posters(tmp_path / name, CATALOG, posters)
    assert (tmp_path / "one.zip").read_bytes() == (tmp_path / "two.zip").read_bytes()


def test_data_without_posters_write_nothing(tmp_path: Path) -> None:
    write_posters(tmp_path / "posters.zip", CATALOG, {})
    assert not (tmp_path / "posters.zip").exists()


def test_posters_beyond_the_limit_are_left_out(
    posters: dict[int, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(posters_archive, "SIZE_LIMIT_BYTES", 17)  # two posters have nine bytes each
    write_posters(tmp_path / "posters.zip", CATALOG, posters)
    assert not (tmp_path / "posters.zip").exists()
