"""A synthetic data set of any size in MovieLens' format, to measure memory and time with; not for judging models.

People have one of twenty tastes, and events are long-tailed as in real data: few films have most events, few people
watch thousands. It is marked as simulated.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from features.catalog import GENRES
from sample import FolderInUse
from training.data.dataset import SIMULATED_MARK

TASTES = 20
TASTE_SHARE = 0.7
"""Share of what a person watches that is of their taste."""

FEWEST_EVENTS = 20
PEOPLE_AT_ONCE = 4000
DRAWS_PER_EVENT = 3
"""Many samples are films that the person has already."""

FIRST_S, LAST_S = 820_000_000, 1_570_000_000
"""1996 to 2019."""

Int64 = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Size:
    """How large; ml-25m's by default."""

    events: int = 25_000_000
    """Approximate: repeated samples of a film count once."""
    people: int = 162_000
    films: int = 62_000

    def scaled(self, share: float) -> Size:
        """A smaller world of the same shape: fewer people, and fewer films in proportion to the root."""
        people = max(1, int(self.people * share))
        return Size(max(people, int(self.events * share)), people, max(TASTES, int(self.films * share**0.5)))


def write_synthetic(
    folder: Path, size: Size, seed: int = 0, on_people: Callable[[int], None] = lambda done: None
) -> int:
    """Write movies.csv, ratings.csv and the mark of simulated people; returns the number of events.

    Raises: FolderInUse when the folder holds anything.
    """
    if folder.exists() and any(folder.iterdir()):
        raise FolderInUse(folder)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / SIMULATED_MARK).write_text("Made by `python -m training synthetic`: nobody here is real.\n")
    rng = np.random.default_rng(seed)
    _films(size, rng).write_csv(folder / "movies.csv")
    written = 0
    with (folder / "ratings.csv").open("wb") as out:
        for done, table in _ratings(size, rng):
            table.write_csv(out, include_header=written == 0)
            written += table.height
            on_people(done)
    return written


def _films(size: Size, rng: np.random.Generator) -> pl.DataFrame:
    years = rng.integers(1920, 2020, size.films)
    titles = [f"Film {row} ({year})" for row, year in enumerate(years)]
    second = rng.integers(0, len(GENRES), size.films)
    genres = [f"{GENRES[row % TASTES % len(GENRES)]}|{GENRES[other]}" for row, other in enumerate(second)]
    return pl.DataFrame({"movieId": np.arange(1, size.films + 1), "title": titles, "genres": genres})


def _ratings(size: Size, rng: np.random.Generator) -> Iterator[tuple[int, pl.DataFrame]]:
    lengths = _lengths(size, rng)
    everything, own = _cumulative(size.films), _cumulative(size.films // TASTES)
    for start in range(0, size.people, PEOPLE_AT_ONCE):
        wanted = lengths[start : start + PEOPLE_AT_ONCE]
        person = np.repeat(np.arange(len(wanted)), np.ceil(wanted * DRAWS_PER_EVENT).astype(np.int64))
        chance = rng.random(len(person))
        own_taste = rng.random(len(person)) < TASTE_SHARE
        film = np.where(
            own_taste,
            np.searchsorted(own, chance) * TASTES + person % TASTES,
            np.searchsorted(everything, chance),
        )
        person, film = _distinct(person, film, wanted, size.films)
        yield start + len(wanted), _table(start + person, film, rng)


def _lengths(size: Size, rng: np.random.Generator) -> Int64:
    """(P) events of each person: at least 20, log-normal above, the given sum."""
    fewest = min(FEWEST_EVENTS, size.events // size.people)
    spread = rng.lognormal(0, 1.3, size.people)
    more = spread / spread.sum() * (size.events - fewest * size.people)
    return np.minimum(fewest + more.astype(np.int64), size.films // 4)


def _cumulative(n: int) -> npt.NDArray[np.float64]:
    """Cumulative Zipf-like popularity."""
    weights = 1 / (np.arange(n) + 20.0) ** 0.9
    return np.cumsum(weights) / weights.sum()


def _distinct(person: Int64, film: Int64, wanted: Int64, n_films: int) -> tuple[Int64, Int64]:
    """Each person's first samples without repeats, at most as many as wanted, in the order of sampling."""
    film = np.minimum(film, n_films - 1)
    _, first = np.unique(person * n_films + film, return_index=True)
    first_events = np.sort(first)
    person, film = person[first_events], film[first_events]
    starts = np.searchsorted(person, np.arange(len(wanted)))
    inside = np.arange(len(person)) - starts[person] < wanted[person]
    return person[inside], film[inside]


def _table(person: Int64, film: Int64, rng: np.random.Generator) -> pl.DataFrame:
    """Timestamps in sessions: minutes apart within one, days between them."""
    gaps = np.where(rng.random(len(person)) < 0.1, rng.exponential(20 * 86_400, len(person)), 60).astype(np.int64)
    elapsed = np.cumsum(gaps)
    begins = np.r_[True, person[1:] != person[:-1]]
    place = np.cumsum(begins) - 1
    start_s = rng.integers(FIRST_S, LAST_S, int(begins.sum()))
    stamps = start_s[place] + elapsed - elapsed[begins][place]
    stars = np.clip(np.round(rng.normal(3.5, 1, len(person)) * 2) / 2, 0.5, 5)
    return pl.DataFrame({"userId": person + 1, "movieId": film + 1, "rating": stars, "timestamp": stamps})
