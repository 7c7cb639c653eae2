"""data.toml says how the files beside it are read; `describe` writes it."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from tests.training.data.formats.shops import FIRST_S, events, items, movielens, write
from training.commands.data import app
from training.data.dataset import read_dataset
from training.data.errors import BadDataFormat, MissingColumns

DESCRIPTION = """
[events]
file = "log.txt"
separator = ";"
user = "kunde"
item = "artikel"
rating = "note"
scale = "10"
time = "wann"
time_unit = "ms"

[items]
file = "waren.txt"
separator = ";"
item = "artikel"
title = "name"
genres = "art"
genre_separator = "+"
"""


def shop(folder: Path, description: str = DESCRIPTION) -> Path:
    """A folder whose columns nobody could guess, and the description."""
    rows = [(f"k{u}", i, 2 * int(str(r)), int(str(t)) * 1000) for u, i, r, t in events()]
    write(folder / "log.txt", ("kunde", "artikel", "note", "wann"), rows, ";")
    write(folder / "waren.txt", ("artikel", "name", "art"), [(i, title, "Drama+War") for i, title, _ in items()], ";")
    (folder / "data.toml").write_text(description)
    return folder


def describe(*arguments: str | Path) -> Result:
    """Run `describe` on a wide terminal."""
    wide = {"COLUMNS": "400", "NO_COLOR": "1"}
    return CliRunner().invoke(app, ["describe", *map(str, arguments)], env=wide)


def test_a_described_folder_is_read_as_described(tmp_path: Path) -> None:
    dataset = read_dataset(shop(tmp_path))
    assert dataset.user_ids[0] == "k1"
    assert dataset.report.taken_as == ""
    assert dataset.events.timestamps_s[0] == FIRST_S + 4 * 3600
    assert dataset.events.ratings[:4].tolist() == [5.0, 1.0, 2.0, 3.0]
    assert dataset.catalog.films[0].genres == ("Drama", "War")


def test_another_description_is_other_data(tmp_path: Path) -> None:
    first = read_dataset(shop(tmp_path)).fingerprint
    assert read_dataset(shop(tmp_path, DESCRIPTION.replace('genres = "art"\n', ""))).fingerprint != first


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('scale = "10"', 'scale = "7"', r"data\.toml cannot be used: Invalid enum value '7' - at `\$\.events\.scale`"),
        ('time_unit = "ms"', 'time_unit = "hours"', r"time_unit 'hours' is none of s, ms, us, ns, iso, order"),
        ('user = "kunde"\n', "", "events needs `user`, the column of people, or `person`"),
        ("waren.txt", "wares.txt", r"there is no file 'wares\.txt' beside it"),
        ('title = "name"', 'titel = "name"', "unknown field `titel`"),
        ("[events]", "[events", "data.toml cannot be used"),
    ],
)
def test_a_wrong_description_is_refused_by_its_place(tmp_path: Path, old: str, new: str, message: str) -> None:
    with pytest.raises(BadDataFormat, match=message):
        read_dataset(shop(tmp_path, DESCRIPTION.replace(old, new)))


def test_a_described_column_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(MissingColumns, match=r"log\.txt lacks the column user; its first line has: kunde, artikel"):
        read_dataset(shop(tmp_path, DESCRIPTION.replace('"kunde"', '"user"')))


def test_only_some_rows_of_a_file_may_be_events(tmp_path: Path) -> None:
    rows = [(kind, u, i) for kind in ("view", "return") for u, i, _, _ in events()]
    write(tmp_path / "log.csv", ("kind", "user", "item"), rows)
    (tmp_path / "data.toml").write_text(
        '[events]\nfile = "log.csv"\nuser = "user"\nitem = "item"\nonly = {kind = ["view"]}\n'
    )
    dataset = read_dataset(tmp_path)
    assert dataset.report.table("log.csv").rows == 32
    assert len(dataset.events) == 32


def test_describe_writes_what_it_would_be_read_as(tmp_path: Path) -> None:
    movielens(tmp_path, [(u, i, r, int(str(t)) * 1000) for u, i, r, t in events()])
    before = read_dataset(tmp_path)
    result = describe(tmp_path)
    assert result.exit_code == 0
    assert 'time_unit = "ms"' in (tmp_path / "data.toml").read_text()
    after = read_dataset(tmp_path)
    assert after.events.timestamps_s.tolist() == before.events.timestamps_s.tolist()
    assert after.catalog.films == before.catalog.films


def test_describe_takes_what_it_is_told_and_says_what_is_not_certain(tmp_path: Path) -> None:
    (shop(tmp_path) / "data.toml").unlink()
    result = describe(
        tmp_path, "--file", "log.txt", "--user", "kunde", "--item", "artikel", "--rating", "note", "--time", "wann"
    )
    assert result.exit_code == 0
    assert "Not certain" not in result.output
    dataset = read_dataset(tmp_path)
    assert dataset.events.ratings[:4].tolist() == [5.0, 1.0, 2.0, 3.0]
    assert dataset.events.timestamps_s[0] == FIRST_S + 4 * 3600


def test_describe_proposes_even_where_it_is_not_certain(tmp_path: Path) -> None:
    write(tmp_path / "log.csv", ("kunde", "artikel", "rating"), [row[:3] for row in events()])
    result = describe(tmp_path)
    assert result.exit_code == 0
    assert "Not certain: kunde of log.csv may be people and artikel items" in result.output
    assert "# Not certain, look at it: kunde" in (tmp_path / "data.toml").read_text()
    assert len(read_dataset(tmp_path).user_ids) == 8


def test_describe_leaves_a_description_alone_unless_forced(tmp_path: Path) -> None:
    shop(tmp_path)
    result = describe(tmp_path)
    assert result.exit_code == 1
    assert "says how its files are read. Correct it, or say --force" in result.output
    assert describe(tmp_path, "--force", "--file", "log.txt").exit_code == 0


def test_describe_names_a_column_that_is_not_there(tmp_path: Path) -> None:
    result = describe(movielens(tmp_path, events()), "--user", "person")
    assert result.exit_code == 1
    assert "ratings.csv lacks the column person" in result.output
