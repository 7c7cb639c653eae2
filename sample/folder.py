"""The sample as files: MovieLens' tables, and beside them metadata, posters and a description."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl

from features.catalog import Film
from sample.films import sample_films
from sample.posters import draw_poster
from sample.world import SimulatedWorld, simulate

SIMULATED_NOTE = """The people of this data set are SIMULATED: no rating, tag or date in it comes from a real person.

A program simulated {people} people with planted tastes watching {films} films
(the package `sample` of Marquee, seed {seed}). The films are real; their overviews were written for Marquee,
and their posters were drawn by a program and show no real poster.
Metrics measured on it say whether models find what was planted, not how well they would serve real people.
"""

README = """Marquee's embedded sample, in MovieLens' format
===============================================

SIMULATED PEOPLE: see SIMULATED.txt.

movies.csv    movieId,title,genres            {films} real films, "Name (year)"
ratings.csv   userId,movieId,rating,timestamp {events} simulated ratings, 0.5 to 5 stars
tags.csv      userId,movieId,tag,timestamp    simulated tags
metadata.csv  movieId,overview,cast,director,country
posters/      <movieId>.jpg                   drawn by a program; genre and era show in the picture

Written by `python -m training sample` with {people} people and seed {seed}; the same seed gives the same files.
"""

DEFAULT_PEOPLE = 2000
"""People of the default sample."""

_TAGGING_SHARE = 0.08
"""Share of well-liked films that a person tags."""


class FolderInUse(Exception):
    """Simulated data would overwrite something else."""

    def __init__(self, folder: Path) -> None:
        super().__init__(f"{folder} is not empty and holds no earlier sample; give a new or an empty folder")


def write_sample(
    folder: Path, people: int = DEFAULT_PEOPLE, seed: int = 7, films: Sequence[Film] | None = None
) -> SimulatedWorld:
    """Write the sample into a folder, created when missing, and return the simulated world.

    films: what there is to watch, by ascending movie_id; the whole catalogue when None. An older sample in the
    folder is overwritten. Raises FolderInUse when the folder holds anything else.
    """
    if folder.exists() and any(folder.iterdir()) and not (folder / "SIMULATED.txt").exists():
        raise FolderInUse(folder)
    films = sample_films() if films is None else films
    world = simulate(films, people, seed)
    shutil.rmtree(folder / "posters", ignore_errors=True)
    (folder / "posters").mkdir(parents=True)
    facts = {"people": people, "films": len(films), "events": len(world.user_rows), "seed": seed}
    (folder / "SIMULATED.txt").write_text(SIMULATED_NOTE.format(**facts), encoding="utf-8")
    (folder / "README.txt").write_text(README.format(**facts), encoding="utf-8")
    _movies(films).write_csv(folder / "movies.csv")
    _metadata(films).write_csv(folder / "metadata.csv")
    _ratings(world).write_csv(folder / "ratings.csv", float_precision=1)
    _tags(world, np.random.default_rng([seed, 1])).write_csv(folder / "tags.csv")
    for film in films:
        (folder / "posters" / f"{film.movie_id}.jpg").write_bytes(draw_poster(film))
    return world


def embedded_sample(home: Path) -> Path:
    """Folder of the default sample below `home`, written when it is not there or this code has changed.

    Written atomically, also when two processes do so at once.
    """
    folder = home / "data" / _code_sha256()[:12] / "sample"
    if folder.exists():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    unfinished = Path(tempfile.mkdtemp(prefix="sample-", dir=folder.parent))
    try:
        write_sample(unfinished, DEFAULT_PEOPLE)
        unfinished.chmod(0o755)  # mkdtemp's 0700 would lock out a server that runs as another user
        os.rename(unfinished, folder)
    except OSError:
        # The other process was first: its sample is the same as ours.
        if not folder.exists():
            raise
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return folder


def _code_sha256() -> str:
    """Hash of everything that decides what the default sample looks like."""
    package = Path(__file__).parent
    sources = sorted(path for path in package.rglob("*") if path.suffix in {".py", ".csv"})
    return hashlib.sha256(b"\0".join(path.read_bytes() for path in sources)).hexdigest()


def _movies(films: Sequence[Film]) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "movieId": [film.movie_id for film in films],
            "title": [f"{film.title} ({film.year})" for film in films],
            "genres": ["|".join(film.genres) for film in films],
        }
    )


def _metadata(films: Sequence[Film]) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "movieId": [film.movie_id for film in films],
            "overview": [film.overview for film in films],
            "cast": ["|".join(film.cast) for film in films],
            "director": [film.director for film in films],
            "country": [film.country for film in films],
        }
    )


def _ratings(world: SimulatedWorld) -> pl.DataFrame:
    """As MovieLens sorts them: by userId, then movieId."""
    movie_ids = np.array([film.movie_id for film in world.films])
    return pl.DataFrame(
        {
            "userId": world.user_rows + 1,
            "movieId": movie_ids[world.item_rows],
            "rating": world.ratings,
            "timestamp": world.timestamps_s,
        }
    ).sort("userId", "movieId")


def _tags(world: SimulatedWorld, rng: np.random.Generator) -> pl.DataFrame:
    """Tags of the films: words of the catalogue, the first of a film's most often.

    Every word of a watched film is used at least once; then people who liked a film add one more.
    """
    viewers = np.argsort(world.item_rows, kind="stable")
    n_tags = np.array([len(film.tags) for film in world.films])
    n_viewers = np.bincount(world.item_rows, minlength=len(world.films))
    items = np.repeat(np.arange(len(world.films)), np.where(n_viewers > 0, n_tags, 0))
    words = np.arange(len(items)) - np.searchsorted(items, items)
    first_viewer = np.cumsum(n_viewers) - n_viewers
    events = viewers[first_viewer[items] + words % n_viewers[items]]

    keen = np.flatnonzero((world.ratings >= 4) & (rng.random(len(world.ratings)) < _TAGGING_SHARE))
    # The square of a uniform number leans to 0: with four words they get 50, 21, 16 and 13 % of the votes.
    keen_words = (rng.random(len(keen)) ** 2 * n_tags[world.item_rows[keen]]).astype(np.int64)

    events, words = np.concatenate([events, keen]), np.concatenate([words, keen_words])
    films = [world.films[item] for item in world.item_rows[events]]
    return pl.DataFrame(
        {
            "userId": world.user_rows[events] + 1,
            "movieId": [film.movie_id for film in films],
            "tag": [film.tags[word] for film, word in zip(films, words, strict=True)],
            "timestamp": world.timestamps_s[events] + 600,
        }
    ).sort("userId", "movieId", "tag")
