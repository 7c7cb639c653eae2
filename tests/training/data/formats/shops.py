"""Small data sets in columns of their own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

Row = tuple[object, ...]

PEOPLE, ITEMS, FIRST_S = 8, 6, 1_000_000_000


def events(rating: Callable[[int], object] = lambda at: 1 + at % 5) -> list[Row]:
    """Eight people with four items each, an hour apart: person, item, rating, seconds."""
    return [
        (user, 1 + (user + at) % ITEMS, rating(4 * user + at), FIRST_S + 3600 * (4 * user + at))
        for user in range(1, PEOPLE + 1)
        for at in range(4)
    ]


def items() -> list[Row]:
    """Number, title and genres."""
    return [(item, f"Film {item} ({1990 + item})", "Drama|War") for item in range(1, ITEMS + 1)]


def write(path: Path, header: Sequence[str], rows: Sequence[Row], separator: str = ",") -> None:
    """A table of text; an empty header writes none."""
    lines = [separator.join(map(str, row)) for row in ([header] if header else []) + list(rows)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def movielens(folder: Path, rows: Sequence[Row], header: str = "userId,movieId,rating,timestamp") -> Path:
    """A folder with MovieLens' file names and columns, and these events."""
    write(folder / "ratings.csv", header.split(","), rows)
    write(folder / "movies.csv", ("movieId", "title", "genres"), items())
    return folder
