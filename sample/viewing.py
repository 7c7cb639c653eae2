"""Simulates which films people watch, one after the other, and the attraction from one film to the next."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from features.catalog import Film
from sample.people import Floats, Ints, People, tastes_now

_MOOD, _POPULARITY, _ADORED, _SERIES, _DIRECTOR, _ERA = 5.0, 0.8, 1.0, 2.5, 1.5, 0.8
"""Weights of the utility that `sample.world` writes down."""
_ERA_YEARS = 6.0
_SESSION_ENDS = 0.3
_TINY = np.float32(1e-30)
"""Single-precision draws can be 0, whose logarithm is not finite."""


def watch(
    rng: np.random.Generator,
    crowd: People,
    fit: Floats,
    popularity: Floats,
    films: Sequence[Film],
    directors: Ints,
) -> dict[str, Ints]:
    """Columns user, item, session, step of all events, step by step for all people at once."""
    people, n_films = len(crowd.n_events), len(fit)
    leads_to = _leads_to(films, directors).astype(np.float32)
    always = (_POPULARITY * popularity + _ADORED * (directors == crowd.adored[:, None])).astype(np.float32)
    mood_pull = (_MOOD * fit.T).astype(np.float32)
    unwatched = np.ones((people, n_films), dtype=bool)
    previous, session, mood = np.zeros(people, np.int64), np.full(people, -1), np.zeros(people, np.int64)
    columns: dict[str, list[Ints]] = {name: [] for name in ("user", "item", "session", "step")}
    for step in range(int(crowd.n_events.max())):  # an event depends on the one before
        users = np.flatnonzero(crowd.n_events > step)
        begins = (rng.random(len(users)) < _SESSION_ENDS) | (step == 0)
        drawn = (tastes_now(crowd, users, step).cumsum(axis=1) < rng.random((len(users), 1))).sum(axis=1)
        mood[users] = np.where(begins, np.minimum(drawn, fit.shape[1] - 1), mood[users])
        session[users] += begins
        utility = always[users] + mood_pull[mood[users]]
        utility += np.where(begins[:, None], 0, leads_to[previous[users]])
        utility -= np.log(np.maximum(rng.standard_exponential(utility.shape, dtype=np.float32), _TINY))
        choice = np.where(unwatched[users], utility, -np.inf).argmax(axis=1)
        unwatched[users, choice] = False
        previous[users] = choice
        for name, column in zip(columns, (users, choice, session[users], step), strict=True):
            columns[name].append(np.broadcast_to(column, users.shape).copy())
    return {name: np.concatenate(parts) for name, parts in columns.items()}


def _leads_to(films: Sequence[Film], directors: Ints) -> Floats:
    """(N, N) attraction of the column's film after the row's was watched."""
    years = np.array([film.year or 0 for film in films], dtype=np.float64)
    pull = _ERA * np.exp(-np.abs(years[:, None] - years) / _ERA_YEARS)
    pull += _DIRECTOR * (directors[:, None] == directors)
    for row, following in next_in_series(films).items():
        pull[row, following] += _SERIES
    return pull


def next_in_series(films: Sequence[Film]) -> dict[int, int]:
    """Row of a film → row of the next part of its series by year, where titles tell a series."""
    series: dict[str, list[int]] = {}
    for row, film in enumerate(films):
        series.setdefault(series_name(film.title), []).append(row)
    following: dict[int, int] = {}
    for rows in series.values():
        parts = sorted(rows, key=lambda row: (films[row].year or 0, row))
        following.update(pairwise(parts))
    return following


def series_name(title: str) -> str:
    """`"Toy Story 2"`, `"The Godfather Part II"`, `"Alien: Covenant"` → what their series share."""
    name = re.split(r": | – | - ", title.casefold())[0]
    name = re.sub(r"[,]? (part|chapter|episode|vol\.?|volume) [ivx\d]+.*$", "", name)
    return re.sub(r" (\d|[ivx]{1,4})$", "", name)
