"""A simulated world: people with planted tastes, and what they watch in which order.

**Nobody in it is real.** Its purpose is that the right answer is known: `SimulatedWorld` keeps every
person's tastes and every film's fit, so that a test can check whether a model found them.

How it works, for U people, N films and K tastes (`sample.tastes`):

- *Tastes.* A person holds 1 to 3 tastes with weights that add up to 1. For a third of the people the main
  taste gives way to a new one somewhere in the middle of their story (drift).
- *Length.* About 40 films each, fewer for people of narrow tastes: nobody watches more than 70 % of the films
  that they like, so that there is always something left to recommend.
- *Sessions.* Films are watched in bursts, a few hours apart; days pass between bursts. Each session has a
  mood: one of the person's tastes, drawn by its weight at that time.
- *Choice.* Within a session the next film i is drawn among those not yet watched, with probability
  proportional to exp(utility) (drawn by the Gumbel-max trick), where

      utility(i) = 5.0 fit(i, mood) + 0.8 log-popularity(i) + 1.0 [director whom the person adores]
                   + 2.5 [next part of the series just watched] + 1.5 [same director as just watched]
                   + 0.8 exp(-|years apart from the film just watched| / 6)

  The three last terms hold only inside a session: they are what the order of a history tells.
  Popularity is a fixed draw per film; the Gumbel draw is the noise.
- *Ratings.* 2.3 + 2.2 × liking + film quality + personal bias + noise, rounded to half stars within 0.5..5,
  where liking is the best fit among the person's tastes at that time, by weight.

Everything follows from one seed. All people take a step together: arrays of (U, N), no loop over people.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from features.catalog import Film
from sample.people import Floats, Ints, People, draw_people, liking
from sample.tastes import TASTES, film_fit
from sample.viewing import watch

FIRST_DAY_S = 1_483_228_800
"""2017-01-01; people join within three years from it."""

_JOIN_DAYS, _DAYS_BETWEEN_SESSIONS, _HOURS_WITHIN_SESSION = 3 * 365, 7.0, (2.0, 4.0)


@dataclass(frozen=True, slots=True)
class SimulatedWorld:
    """The planted parameters and the events that follow from them. Rows of films are those of `films`."""

    films: tuple[Film, ...]
    taste_names: tuple[str, ...]
    fit: Floats
    """(N, K) how well each film fits each taste, 0 to 1."""
    tastes_at_start: Floats
    """(U, K) each person's tastes when they join; rows add up to 1."""
    tastes_at_end: Floats
    """(U, K) the same at the end of their history; differs only for people who drift."""
    drift_at: Floats
    """(U,) share of the history, 0 to 1, after which `tastes_at_end` hold."""
    popularity: Floats
    """(N,) log-popularity."""
    user_rows: Ints
    """(E,) events, person by person, oldest first."""
    item_rows: Ints
    ratings: Floats
    timestamps_s: Ints
    sessions: Ints
    """(E,) number of the session within its person."""

    def liking(self) -> Floats:
        """(U, N) how much each person would like each film at the end of their history, 0 to 1."""
        return liking(self.tastes_at_end, self.fit)

    def devoted_to(self, taste: str) -> Ints:
        """Rows of the people who hold this taste alone, from start to end."""
        column = self.taste_names.index(taste)
        return np.flatnonzero((self.tastes_at_start[:, column] == 1) & (self.tastes_at_end[:, column] == 1))

    def films_of(self, taste: str, at_least: float = 0.5) -> Ints:
        """Rows of the films that fit a taste."""
        return np.flatnonzero(self.fit[:, self.taste_names.index(taste)] >= at_least)


def simulate(films: Sequence[Film], people: int = 2000, seed: int = 7) -> SimulatedWorld:
    """Let `people` simulated people watch `films`. The same arguments give the same world."""
    rng = np.random.default_rng(seed)
    fit = film_fit(films)
    directors = np.unique([film.director for film in films], return_inverse=True)[1]
    popularity = rng.normal(size=len(films))
    crowd = draw_people(rng, people, fit, directors)
    steps = watch(rng, crowd, fit, popularity, films, directors)
    order = np.lexsort((steps["step"], steps["user"]))
    events = {name: column[order] for name, column in steps.items()}
    return SimulatedWorld(
        films=tuple(films),
        taste_names=tuple(taste.name for taste in TASTES),
        fit=fit,
        tastes_at_start=crowd.tastes_at_start,
        tastes_at_end=crowd.tastes_at_end,
        drift_at=crowd.drift_at,
        popularity=popularity,
        user_rows=events["user"],
        item_rows=events["item"],
        ratings=_rate(rng, crowd, fit, events),
        timestamps_s=_time(rng, people, events),
        sessions=events["session"],
    )


def _rate(rng: np.random.Generator, crowd: People, fit: Floats, events: dict[str, Ints]) -> Floats:
    """(E,) half stars, 0.5 to 5."""
    users, items = events["user"], events["item"]
    drifted = events["step"] >= crowd.drift_at[users] * crowd.n_events[users]
    before, after = (liking(tastes, fit)[users, items] for tastes in (crowd.tastes_at_start, crowd.tastes_at_end))
    stars = 2.3 + 2.2 * np.where(drifted, after, before)
    stars += rng.normal(0, 0.35, size=len(fit))[items] + rng.normal(0, 0.3, size=len(crowd.n_events))[users]
    stars += rng.normal(0, 0.45, size=len(users))
    return np.clip(np.round(stars * 2) / 2, 0.5, 5.0)


def _time(rng: np.random.Generator, people: int, events: dict[str, Ints]) -> Ints:
    """(E,) Unix seconds, growing within each person."""
    users, sessions = events["user"], events["session"]
    first = np.append(True, users[1:] != users[:-1])
    begins = np.append(True, sessions[1:] != sessions[:-1]) & ~first
    gap_hours = np.where(
        begins,
        24 * _DAYS_BETWEEN_SESSIONS * rng.exponential(size=len(users)) + 8,
        rng.uniform(*_HOURS_WITHIN_SESSION, size=len(users)),
    )
    gap_hours[first] = 24 * rng.uniform(0, _JOIN_DAYS, size=people)
    elapsed = np.cumsum(gap_hours)
    before_person = np.repeat((elapsed - gap_hours)[first], np.bincount(users))
    return FIRST_DAY_S + ((elapsed - before_person) * 3600).astype(np.int64)
