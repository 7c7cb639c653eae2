"""The simulated people: what they like, how that changes, and how much they watch."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

MIN_EVENTS, MAX_EVENTS = 16, 110
"""A person's number of ratings; people of narrow tastes have fewer."""

_DRIFTING = 1 / 3
_SHARE_OF_TASTE = 0.7
_ADORING = 0.4


@dataclass(frozen=True, slots=True)
class People:
    """Parameters of each person, sampled before anything is watched."""

    tastes_at_start: Floats
    tastes_at_end: Floats
    drift_at: Floats
    adored: Ints
    """(U,) number of a director, -1 for none."""
    n_events: Ints


def draw_people(rng: np.random.Generator, people: int, fit: Floats, directors: Ints) -> People:
    """Sample tastes, drift, favourite directors and lengths of histories."""
    n_tastes = fit.shape[1]
    how_many = rng.choice([1, 2, 3], size=people, p=[0.35, 0.45, 0.2])
    # A taste that few films fit is held by few people, but not by none.
    appeal = np.sqrt(np.maximum(fit.sum(axis=0), 1.0))
    # Gumbel top-k: each row a draw of distinct tastes, without a loop over people.
    ranked = np.argsort(-(np.log(appeal) + rng.gumbel(size=(people, n_tastes))), axis=1)
    shares = rng.dirichlet([3.0, 2.0, 1.5], size=people) * (np.arange(3) < how_many[:, None])
    shares /= shares.sum(axis=1, keepdims=True)
    start, end = np.zeros((people, n_tastes)), np.zeros((people, n_tastes))
    np.put_along_axis(start, ranked[:, :3], shares, axis=1)
    drifts = rng.random(people) < _DRIFTING
    later = np.where(drifts[:, None], ranked[:, [3, 1, 2]], ranked[:, :3])
    np.put_along_axis(end, later, shares, axis=1)
    prolific = np.flatnonzero(np.bincount(directors) >= 3)
    adored = np.where(rng.random(people) < _ADORING, rng.choice(prolific, size=people), -1) if len(prolific) else None
    n_events = np.exp(rng.normal(np.log(48), 0.45, size=people)).astype(np.int64)
    # Nobody exhausts their tastes: something to recommend must be left.
    within_taste = np.maximum(liking(start, fit), liking(end, fit)) >= 0.5
    most = np.clip(_SHARE_OF_TASTE * within_taste.sum(axis=1), MIN_EVENTS, MAX_EVENTS).astype(np.int64)
    return People(
        tastes_at_start=start,
        tastes_at_end=end,
        drift_at=rng.uniform(0.35, 0.65, size=people),
        adored=np.full(people, -1) if adored is None else adored,
        n_events=np.minimum(np.clip(n_events, MIN_EVENTS, most), len(fit)),
    )


def tastes_now(crowd: People, users: Ints, step: Ints | int) -> Floats:
    """(len(users), K) tastes at an event number."""
    drifted = step >= crowd.drift_at[users] * crowd.n_events[users]
    return np.where(np.asarray(drifted)[:, None], crowd.tastes_at_end[users], crowd.tastes_at_start[users])


def liking(tastes: Floats, fit: Floats) -> Floats:
    """(U, N) the best fit among a person's tastes, each taste counting by its share of the strongest one."""
    strength = tastes / tastes.max(axis=1, keepdims=True)
    # One (U, N) array a taste: the (U, N, K) product would be large.
    best = np.zeros((len(tastes), len(fit)))
    for column in range(fit.shape[1]):
        np.maximum(best, np.sqrt(strength[:, column, None]) * fit[:, column], out=best)
    return best
