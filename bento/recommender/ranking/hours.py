"""The effect of the hour of the day: which genres the release's people watch more often at an hour than usual.

The counts are relative to each person's own habits, so that the taste of people who watch at night is not taken for an
effect of the night. The effect is scaled by how well two halves of the people agree on it, and dropped where they agree
no better than by chance. Pure but for `Hours`, which counts in a thread beside the event loop.
"""

from __future__ import annotations

import asyncio
import logging

import numpy as np
import numpy.typing as npt

from bento.background import DetachedTasks
from bento.recommender.retrieval.release_search import Ranked
from bento.release.loading import Release
from bento.release.people import ReleasePeople

log = logging.getLogger("marquee.recommender")

PART = "hour"
"""Its name among the contributions."""

HOURS = 24
PEOPLE_LIMIT = 1_000
"""People who are counted; from more, as many are sampled with a seed."""

FEWEST_PEOPLE = 50
"""People needed: with fewer, the agreement of two halves means nothing."""

PRIOR_EVENTS = 200
"""Average events added to each hour, so that an hour with few events shows little effect."""

NEIGHBOUR_HOURS = 0.5
"""Weight of the hour before and the hour after."""

HALVINGS = 10
CHANCE_DEVIATIONS = 3.0
"""How many standard deviations the agreement has to be above that of shuffled hours."""

LARGEST_PRIOR = 0.5
"""Of one film; scores of sources differ by several times as much between liked and other films."""

Float = npt.NDArray[np.float64]
Lifts = npt.NDArray[np.float32]


def hour_lifts(people: ReleasePeople, genre_matrix: npt.NDArray[np.float32], seed: int = 0) -> Lifts | None:
    """(24, G) log of how much more often a genre is watched in an hour than usual; None where that is chance.

    Hours are those of the timestamps, UTC.
    """
    chance = np.random.default_rng(seed)
    drawn = np.sort(chance.permutation(len(people.offsets) - 1)[:PEOPLE_LIMIT])
    lengths = np.diff(people.offsets)[drawn]
    if np.count_nonzero(lengths) < FEWEST_PEOPLE:
        return None
    events = np.concatenate([np.arange(people.offsets[row], people.offsets[row + 1]) for row in drawn])
    person = np.repeat(np.arange(len(drawn)), lengths)
    hour = (people.timestamps_s[events] // 3_600 % HOURS).astype(np.int64)
    genres = genre_matrix[people.item_rows[events]].astype(np.float64)
    usual = genres.mean(axis=0)
    habits = np.stack([np.bincount(person, column, len(drawn)) for column in genres.T], axis=1)
    unusual = genres - (habits / np.maximum(lengths, 1)[:, np.newaxis])[person]

    agreement = np.mean([_agreement(hour, unusual, person, chance) for _ in range(HALVINGS)])
    by_chance = []
    for _ in range(HALVINGS):  # each person's clock set wrong by some hours: habits stay, the hour of the day is lost
        shifted = (hour + chance.integers(0, HOURS, len(drawn))[person]) % HOURS
        by_chance.append(_agreement(shifted, unusual, person, chance))
    log.info("the hour of the day: halves of the people agree by %.2f, by chance %.2f", agreement, np.mean(by_chance))
    if agreement <= np.mean(by_chance) + CHANCE_DEVIATIONS * np.std(by_chance):
        return None
    reliability = 2 * agreement / (1 + agreement)  # of all people together (Spearman-Brown)
    shares = np.maximum(usual + _deviations(hour, unusual), usual / 10)
    lifts = np.log(np.divide(shares, usual, out=np.ones_like(shares), where=usual > 0))
    return (reliability * lifts).astype(np.float32)


def _agreement(
    hour: npt.NDArray[np.int64], unusual: Float, person: npt.NDArray[np.int64], chance: np.random.Generator
) -> float:
    """Correlation of the deviations of two random halves of the people, over all hours and genres."""
    in_first = chance.permutation(person[-1] + 1) % 2 == 0
    first = in_first[person]
    one, other = (_deviations(hour[half], unusual[half]).ravel() for half in (first, ~first))
    spread = float(np.linalg.norm(one) * np.linalg.norm(other))  # their means are 0 already, but for the prior events
    return float(one @ other) / spread if spread else 0.0


def _deviations(hour: npt.NDArray[np.int64], unusual: Float) -> Float:
    """(24, G) by how much the share of each genre is above what the people of that hour usually watch."""
    sums: Float = np.stack([np.bincount(hour, column, HOURS) for column in unusual.T], axis=1)
    counts: Float = np.bincount(hour, minlength=HOURS)[:, np.newaxis].astype(np.float64)
    return _with_neighbours(sums) / (_with_neighbours(counts) + PRIOR_EVENTS)


def _with_neighbours(by_hour: Float) -> Float:
    return by_hour + NEIGHBOUR_HOURS * (np.roll(by_hour, 1, axis=0) + np.roll(by_hour, -1, axis=0))


class Hours:
    """Adds the effect of the hour to the scores of one release's films."""

    def __init__(self, release: Release) -> None:
        self._release = release
        self._lifts: Lifts | None = None
        self._counting = DetachedTasks()

    def start(self) -> None:
        """Start to count in a thread; until that is done the hour changes nothing."""
        self._counting.start(self._count(), "hours")

    async def close(self) -> None:
        """Stop."""
        await self._counting.cancel()

    async def _count(self) -> None:
        release = self._release
        genres = release.catalog.genre_matrix
        self._lifts = await asyncio.to_thread(hour_lifts, release.people, genres)

    @property
    def are_known(self) -> bool:
        """The counting is done, and it found that the hour changes what people watch."""
        return self._lifts is not None

    def added_to(self, ranked: Ranked, hour: int) -> Ranked:
        """The films with the effect of the hour added to their scores, best first, as one more contribution."""
        if self._lifts is None:
            return ranked
        genres = self._release.catalog.genre_matrix[ranked.rows]
        per_film = genres @ self._lifts[hour] / np.maximum(genres.sum(axis=1), 1)
        prior = np.clip(per_film, -LARGEST_PRIOR, LARGEST_PRIOR).astype(np.float32)
        scores = ranked.scores + prior
        contributions = np.concatenate([ranked.contributions, prior[:, np.newaxis]], axis=1)
        best = np.argsort(-scores, kind="stable")
        return Ranked(ranked.rows, scores, contributions, ranked.corrections).at(best)
