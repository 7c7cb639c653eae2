"""Drift: the difference between the lists that are served and lists for the people of the release.

The reference are lists of the same models for some hundreds of the release's people. It is computed once, one person at
a time, when enough lists were served to compare.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import fields

import msgspec
import numpy as np
import numpy.typing as npt

from bento.recommender.catalogue.popularity import popularity_ranks
from bento.recommender.retrieval.candidates import Models, RetrievalRequest
from bento.recommender.telemetry.observations import ListFacts
from bento.release.loading import Release

REFERENCE_PEOPLE = 400
SEED = 0

BINS = 10
"""Tenths of the reference."""

FEWEST_LISTS = 300
"""With ten bins, as many lists and 400 people, chance alone gives a PSI of 9 (1/300 + 1/400) = 0.05."""

WATCH_FROM = 0.1
ALERT_FROM = 0.25
"""The usual bounds of PSI: below 0.1 there is no drift, above 0.25 it is another population."""

TOP_K = 10


class Drift(msgspec.Struct, frozen=True):
    """The drift of one value."""

    psi: float | None
    """Population stability index; null while there are too few lists or no people to compare with."""
    state: str
    """stable, watch (0.1 and more), alert (the setting ALERT_DRIFT_PSI and more), or unknown."""
    lists: int
    reference_mean: float | None
    present_mean: float | None


def psi(reference: npt.NDArray[np.float64], present: npt.NDArray[np.float64]) -> float:
    """Population stability index of two samples, in tenths of the reference; 0 = alike.

    sum over bins of (p - q) ln(p / q).
    A bin that is empty in one sample counts as half a value, so that the index stays finite.
    """
    edges = np.unique(np.quantile(reference, np.linspace(0, 1, BINS + 1)[1:-1]))
    counts = [np.bincount(np.searchsorted(edges, one), minlength=len(edges) + 1) for one in (reference, present)]
    used = (counts[0] + counts[1]) > 0
    q, p = (np.maximum(count[used], 0.5) / count.sum() for count in counts)
    return float(np.sum((p - q) * np.log(p / q)))


def drift_of(
    reference: Sequence[ListFacts], present: Sequence[ListFacts], alert_from: float = ALERT_FROM
) -> dict[str, Drift]:
    """Drift of every fact."""
    found = {}
    for fact in (item.name for item in fields(ListFacts)):
        then, now = (np.array([getattr(one, fact) for one in sample]) for sample in (reference, present))
        means = [round(float(sample.mean()), 4) if len(sample) else None for sample in (then, now)]
        if len(now) < FEWEST_LISTS or len(then) < FEWEST_LISTS:
            found[fact] = Drift(None, "unknown", len(now), *means)
            continue
        value = psi(then, now)
        state = "alert" if value >= alert_from else "watch" if value >= WATCH_FROM else "stable"
        found[fact] = Drift(round(value, 4), state, len(now), *means)
    return found


async def reference_of(release: Release, models: Models, people: int = REFERENCE_PEOPLE) -> list[ListFacts]:
    """The values of lists for some of the release's people, sampled with a seed; requests are served in between.

    People without a history, and people whose list lacks a source, are left out.
    """
    user_ids = sorted(release.people.row_of)
    drawn = np.random.default_rng(SEED).permutation(len(user_ids))[:people]
    ranks = popularity_ranks(release.popularity)
    reference = []
    for at in drawn.tolist():
        history = release.people.history_of(user_ids[at])
        if not len(history.item_rows):
            continue
        encoded = await models.encode(history)
        ranked = await models.retrieve(encoded, RetrievalRequest(release.weights, TOP_K, np.unique(history.item_rows)))
        if ranked is not None and len(ranked.rows) and not encoded.missing:
            reference.append(ListFacts.of(history.item_rows, ranked.rows, ranked.scores, ranks))
        await asyncio.sleep(0)
    return reference
