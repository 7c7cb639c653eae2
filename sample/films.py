"""The sample's catalogue: `films.csv` beside this module, written by hand."""

from __future__ import annotations

import csv
from pathlib import Path

from features.catalog import Film

FILMS_CSV = Path(__file__).with_name("films.csv")


def sample_films() -> tuple[Film, ...]:
    """The films by ascending movie_id."""
    with FILMS_CSV.open(encoding="utf-8", newline="") as stream:
        films = [
            Film(
                movie_id=int(row["movie_id"]),
                title=row["title"],
                year=int(row["year"]),
                genres=tuple(row["genres"].split("|")),
                director=row["director"],
                cast=tuple(row["cast"].split("|")),
                country=row["country"],
                overview=row["overview"],
                tags=tuple(row["tags"].split("|")),
            )
            for row in csv.DictReader(stream)
        ]
    return tuple(sorted(films, key=lambda film: film.movie_id))
