"""A data set as Parquet files for other tools: people, films, interactions, train and test, and statistics.

Statistics of people and films come from events outside the test alone, so that models can be trained on the files
without leakage.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson
import polars as pl

from features.catalog import GENRES
from training.data.event_table import write_event_table
from training.data.prepared.statistics import statistics
from training.data.prepared.tables import Prepared
from training.data.splits import select

TOP_GENRES = 3

FILES = ("users.parquet", "movies.parquet", "interactions.parquet", "train.parquet", "test.parquet")

OnRows = Callable[[str, int, int], None]
"""Called with (file, rows written of it, rows in all)."""


def prepare(prepared: Prepared, folder: Path, on_rows: OnRows = lambda file, done, total: None) -> dict[str, Any]:
    """Write `FILES` and statistics.json below `folder`, which is created when missing; returns the statistics.

    Events are sorted by person and time. Row groups hold whole people, so that training can stream them.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for file, table in (("users.parquet", users_table(prepared)), ("movies.parquet", movies_table(prepared))):
        on_rows(file, 0, table.height)
        table.write_parquet(folder / file)
        on_rows(file, table.height, table.height)
    everything = np.ones(len(prepared.events), dtype=np.bool_)
    masks = {"interactions.parquet": everything, "train.parquet": prepared.train, "test.parquet": prepared.test}
    for file, mask in masks.items():
        _write_events(prepared, np.flatnonzero(mask), folder / file, on_rows)
    facts = statistics(prepared)
    (folder / "statistics.json").write_bytes(orjson.dumps(facts, option=orjson.OPT_INDENT_2))
    return facts


def _write_events(prepared: Prepared, rows: npt.NDArray[np.int64], path: Path, on_rows: OnRows) -> None:
    done = 0

    def advance(count: int) -> None:
        nonlocal done
        done += count
        on_rows(path.name, done, len(rows))

    advance(0)
    write_event_table(path, select(prepared.events, rows), lambda part: prepared.described(rows[part]), advance)


def users_table(prepared: Prepared) -> pl.DataFrame:
    """One line for each person, by user_row."""
    visible, moments = prepared.visible, prepared.people
    n_people = len(prepared.dataset.user_ids)
    first = np.full(n_people, np.iinfo(np.int64).max)
    last = np.zeros(n_people, dtype=np.int64)
    np.minimum.at(first, visible.user_rows, visible.timestamps_s)
    np.maximum.at(last, visible.user_rows, visible.timestamps_s)
    table = {
        "user_row": np.arange(n_people, dtype=np.int32), "user_id": prepared.dataset.user_ids,
        "events": moments.count, "rating_mean": moments.mean, "rating_deviation": moments.deviation,
        "first_s": first, "last_s": last, "top_genres": top_genres(prepared),
    }  # fmt: skip
    stamps = [
        pl.when((pl.col("events") > 0) & prepared.dataset.timed).then(pl.col(name)).alias(name)
        for name in ("first_s", "last_s")
    ]
    return pl.DataFrame(table, schema_overrides={"top_genres": pl.List(pl.String)}).with_columns(stamps)


def top_genres(prepared: Prepared) -> list[list[str]]:
    """Each person's most watched genres, at most three, by count, then by alphabet."""
    visible, genres = prepared.visible, prepared.dataset.catalog.genre_matrix
    counts = np.stack(
        [
            np.bincount(visible.user_rows, genres[visible.item_rows, column], minlength=len(prepared.dataset.user_ids))
            for column in range(len(GENRES))
        ],
        axis=1,
    )
    best = np.argsort(-counts, axis=1, kind="stable")[:, :TOP_GENRES]
    return [[GENRES[column] for column in row if counts[person, column]] for person, row in enumerate(best)]


def movies_table(prepared: Prepared) -> pl.DataFrame:
    """One line for each film, by item_row."""
    films, moments = prepared.dataset.catalog.films, prepared.films
    table = {
        "item_row": np.arange(len(films), dtype=np.int32), "movie_id": prepared.dataset.catalog.movie_ids,
        "title": [film.title for film in films], "year": [film.year for film in films],
        "genres": [list(film.genres) for film in films], "director": [film.director for film in films],
        "cast": [list(film.cast) for film in films], "country": [film.country for film in films],
        "overview": [film.overview for film in films], "tags": [list(film.tags) for film in films],
        "has_poster": [row in prepared.dataset.poster_paths for row in range(len(films))],
        "events": moments.count, "rating_mean": moments.mean, "rating_deviation": moments.deviation,
    }  # fmt: skip
    lists = dict.fromkeys(("genres", "cast", "tags"), pl.List(pl.String))
    return pl.DataFrame(table, schema_overrides=lists | {"year": pl.Int32})
