"""The reader of imports finds what the architecture forbids, on small packages made up for it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.import_graph import circle, folders, rooms, upward_imports

HOUSE = {
    "house/__init__.py": "from house.roof import tiles",
    "house/roof/__init__.py": "",
    "house/roof/tiles.py": "from house.floor import boards",
    "house/roof/chimney.py": "",
    "house/floor.py": "def boards() -> None: ...",
    "house/stairs.py": "",
}
ORDER = ["roof", "stairs", "floor"]


def built(folder: Path, **changed: str) -> Path:
    """The house with other sources in some modules, named by the last part of their name."""
    for name, source in HOUSE.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(changed.get(path.stem, source))
    return folder


def test_folders_and_loose_modules_are_rooms(tmp_path: Path) -> None:
    assert rooms("house", built(tmp_path)) == {"roof", "floor", "stairs"}


def test_imports_downwards_are_no_offence(tmp_path: Path) -> None:
    assert upward_imports("house", ORDER, built(tmp_path)) == []


@pytest.mark.parametrize(
    "source",
    [
        "import house.roof.tiles",
        "from house.roof import tiles",
        "from .roof import tiles",
        "def later() -> None:\n    from house.roof.tiles import anything",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from house.roof.tiles import Tile",
    ],
)
def test_an_import_upwards_is_found_however_it_is_written(tmp_path: Path, source: str) -> None:
    found = upward_imports("house", ORDER, built(tmp_path, stairs=source))
    assert [(each.source, each.target) for each in found] == [("house.stairs", "house.roof.tiles")]


def test_a_room_does_not_import_its_own_package(tmp_path: Path) -> None:
    found = upward_imports("house", ORDER, built(tmp_path, stairs="from house import tiles"))
    assert [str(each) for each in found] == ["house.stairs:1 imports house.__init__"]


def test_siblings_import_each_other_only_where_that_is_stated(tmp_path: Path) -> None:
    house = built(tmp_path, stairs="import house.floor")
    assert len(upward_imports("house", ["roof", {"stairs", "floor"}], house)) == 1
    assert upward_imports("house", ["roof", ("stairs", "floor")], house) == []


def test_modules_of_one_room_may_import_each_other(tmp_path: Path) -> None:
    house = built(tmp_path, chimney="from house.roof.tiles import anything")
    assert upward_imports("house", ORDER, house) == []


def test_a_circle_is_named_from_module_to_module(tmp_path: Path) -> None:
    house = built(tmp_path, chimney="import house.roof.tiles", tiles="import house.roof.chimney")
    named = circle("house", house)
    assert named[0] == named[-1]
    assert set(named) == {"house.roof.chimney", "house.roof.tiles"}


def test_a_house_without_a_circle_has_none(tmp_path: Path) -> None:
    assert circle("house", built(tmp_path)) == []


def test_files_are_counted_by_folder_without_the_init(tmp_path: Path) -> None:
    counted = {folder: sorted(files) for folder, files in folders("house", built(tmp_path)).items()}
    assert counted == {"house": ["floor", "stairs"], "house/roof": ["chimney", "tiles"]}
