"""What can be read but looks wrong is told by `check`."""

from __future__ import annotations

from pathlib import Path

import pytest

from training.data.dataset import read_dataset
from training.data.flags import flags

FIRST_S = 1_500_000_000
HEADER = "userId,movieId,rating,timestamp\n"


def lines(stamp: int = FIRST_S) -> list[str]:
    """Thirty people with four of six films each, a minute apart."""
    return [
        f"{u},{1 + (u + at) % 6},{3 + at % 2},{stamp + 60 * (4 * u + at)}" for u in range(100, 130) for at in range(4)
    ]


def flagged(folder: Path, ratings: str, genres: str = "Drama|War") -> tuple[str, ...]:
    (folder / "ratings.csv").write_text(HEADER + ratings)
    films = [f'{film},Film {film} (1990),"{genres}"' for film in range(1, 7)]
    (folder / "movies.csv").write_text("movieId,title,genres\n" + "\n".join(films) + "\n")
    return flags(read_dataset(folder))


@pytest.mark.parametrize("end", ["\n", "", "\r\n"])
def test_good_data_are_not_flagged(tmp_path: Path, end: str) -> None:
    assert flagged(tmp_path, "\n".join(lines()) + end) == ()


@pytest.mark.parametrize(
    ("genres", "separator"), [("Drama, War", ","), ("['Drama', 'War']", "list"), ("Drama;War", ";")]
)
def test_genres_that_were_never_split_are_flagged_with_their_separator(
    tmp_path: Path, genres: str, separator: str
) -> None:
    (sentence,) = flagged(tmp_path, "\n".join(lines()) + "\n", genres)
    assert sentence.startswith("6 of 6 films have a genre such as")
    assert f"say genre_separator = {separator!r}" in sentence


def test_a_time_far_from_the_rest_is_flagged_with_its_person(tmp_path: Path) -> None:
    (sentence,) = flagged(tmp_path, "\n".join([*lines(), "100,3,4,86400"]) + "\n")
    assert "1 of 121 events have a time far from the rest, such as 1970-01-02 (86400) of person 100" in sentence
    assert "between 2017-07-14 and 2017-07-14" in sentence


def test_a_cut_last_line_is_flagged_with_its_text(tmp_path: Path) -> None:
    cut, far = flagged(tmp_path, "\n".join([*lines(), "129,3,4,15000"]))
    assert cut.startswith(
        "the last line of ratings.csv seems cut off: '129,3,4,15000' has 13 characters and no line break"
    )
    assert "far from the rest" in far


def test_one_item_in_half_of_all_rows_is_flagged_repeated_rows_too(tmp_path: Path) -> None:
    (sentence,) = flagged(tmp_path, "\n".join(lines() + [f"100,2,4,{FIRST_S}"] * 120) + "\n")
    assert sentence.startswith("the item 2 is in 140 of 240 rows (58%)")


def test_one_time_for_all_is_flagged(tmp_path: Path) -> None:
    same = [line.rsplit(",", 1)[0] + f",{FIRST_S}" for line in lines()]
    (sentence,) = flagged(tmp_path, "\n".join(same) + "\n")
    assert "120 of 120 events have the same time, 2017-07-14" in sentence


def test_times_in_the_future_are_flagged(tmp_path: Path) -> None:
    (sentence,) = flagged(tmp_path, "\n".join(lines(4_000_000_000)) + "\n")
    assert "120 of 120 events lie in the future, up to 2096-10-02" in sentence
