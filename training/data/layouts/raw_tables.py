"""The tables that every layout of MovieLens is read into, and code shared by the layouts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import polars as pl

from features.catalog import Film
from features.ids import ID_LENGTH_LIMIT, Id, id_of, id_order
from training.data.layouts.csv_tables import drop_rows
from training.data.read_report import BROKEN, TableReport

RATING_COLUMNS = {
    "userId": pl.String(),
    "movieId": pl.String(),
    "rating": pl.Float32(),
    "timestamp": pl.Int64(),
}
"""Ids are text until `training.data.dataset` numbers them."""

TAGS_PER_FILM = 30
"""Kept tags of a film, most frequent first: ml-25m has films with thousands of distinct ones."""

_NO_GENRES = "(no genres listed)"
_FORMER_GENRES = {"Children's": "Children"}
"""Names of the data sets before 2015."""


@dataclass(frozen=True, slots=True)
class RawTables:
    """The result of a layout's reader: films by movie_id, and ratings not yet cleaned."""

    layout: str
    films: tuple[Film, ...]
    ratings: pl.DataFrame
    """Columns line, userId, movieId (both as `with_ids` gives them), rating, timestamp, in file order; timestamp may
    be null."""
    reports: tuple[TableReport, ...]
    """The ratings' report comes first, the films' second where they have a table."""
    timed: bool = True
    """False when timestamps only order the rows."""
    may_be_unrated: bool = False
    """Whether a rating of 0, a view without stars, is a good one."""
    taken_as: str = ""
    """What was taken for what, where the format was recognised rather than known or described."""
    beside: tuple[str, ...] = ()
    """Files that say how to read the others."""

    @property
    def used_files(self) -> tuple[str, ...]:
        """Every file that was read."""
        return (*dict.fromkeys(report.file for report in self.reports), *self.beside)


def with_tags(films: Mapping[Id, Film], tags: pl.DataFrame) -> dict[Id, Film]:
    """Films with the tags of people: lower case, one vote a person, most frequent first, ties by alphabet.

    tags: columns userId, movieId (both text) and tag, of films that are there.
    """
    votes = (
        tags.with_columns(pl.col("tag").str.strip_chars().str.to_lowercase())
        .group_by("movieId", "tag")
        .agg(pl.col("userId").n_unique().alias("people"))
        .sort(["movieId", "people", "tag"], descending=[False, True, False])
        .group_by("movieId", maintain_order=True)
        .agg(pl.col("tag").head(TAGS_PER_FILM))
    )
    tagged = ((id_of(film), tuple(tags)) for film, tags in votes.iter_rows())
    return {**films, **{movie_id: replace(films[movie_id], tags=tags) for movie_id, tags in tagged}}


def with_ids(frame: pl.DataFrame, columns: Sequence[str], report: TableReport) -> pl.DataFrame:
    """Ids as the file has them, without the blanks around them; rows where one is missing or too long are left out."""
    frame = frame.with_columns(pl.col(columns).str.strip_chars())
    usable = pl.all_horizontal(pl.col(columns).str.len_chars().is_between(1, ID_LENGTH_LIMIT))
    return drop_rows(frame, ~usable, BROKEN, report)


def genres_of(field: str | None) -> tuple[str, ...]:
    """`"Action|Children's"` → `("Action", "Children")`; () where there are none."""
    named = () if field is None or field == _NO_GENRES else listed(field)
    return tuple(_FORMER_GENRES.get(genre, genre) for genre in named)


def listed(field: str | None) -> tuple[str, ...]:
    """`"a|b"` → `("a", "b")`."""
    return tuple(part.strip() for part in (field or "").split("|") if part.strip())


def in_order(films: Mapping[Id, Film]) -> tuple[Film, ...]:
    """Films by ascending movie_id, numbers before texts."""
    return tuple(films[movie_id] for movie_id in sorted(films, key=id_order))
