"""`statistics.json`: a prepared data set in numbers."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import numpy as np
import numpy.typing as npt

from training.data.prepared.tables import Prepared, hour, weekday

QUANTILES = {"min": 0.0, "p25": 0.25, "median": 0.5, "p75": 0.75, "p99": 0.99, "max": 1.0}
HEAD_SHARE = 0.2
"""Share of films, most watched first, whose share of events measures the long tail."""


def statistics(prepared: Prepared) -> dict[str, Any]:
    """Counts, times and distributions as plain values. Distributions leave the test out; counts say how large it is."""
    dataset, events, visible = prepared.dataset, prepared.events, prepared.visible
    stars, timed = visible.ratings[visible.ratings > 0], dataset.timed
    n_people, n_films = len(dataset.user_ids), len(dataset.catalog)
    return {
        "data": {"name": dataset.name, "fingerprint": dataset.fingerprint, "simulated": dataset.simulated},
        "hold_out": str(prepared.protocol) if prepared.protocol else None,
        "people": n_people,
        "films": n_films,
        "events": len(events),
        "train_events": int(prepared.train.sum()),
        "test_events": int(prepared.test.sum()),
        "history_events": int((~prepared.train & ~prepared.test).sum()),
        "density": len(events) / (n_people * n_films),
        "first_event": _day(events.timestamps_s.min()) if timed else None,
        "last_event": _day(events.timestamps_s.max()) if timed else None,
        "rating_mean": float(stars.mean(dtype=np.float64)) if len(stars) else None,
        "rating_deviation": float(stars.std(dtype=np.float64)) if len(stars) else None,
        "ratings": _counted(stars),
        "events_by_day": _counted(weekday(visible.timestamps_s)) if timed else {},
        "events_by_hour": _counted(hour(visible.timestamps_s)) if timed else {},
        "events_per_person": _quantiles(prepared.people.count[prepared.people.count > 0]),
        "events_per_film": _quantiles(prepared.films.count[prepared.films.count > 0]),
        "films_without_events": int((prepared.films.count == 0).sum()),
        "share_of_head": _share_of_head(prepared.films.count),
        "films_with": dataset.coverage(),
    }


def _day(timestamp_s: int) -> str:
    return datetime.fromtimestamp(int(timestamp_s), UTC).date().isoformat()


def _counted(values: npt.NDArray[np.generic]) -> dict[str, int]:
    found, counts = np.unique(values, return_counts=True)
    return {f"{value:g}": int(count) for value, count in zip(found.tolist(), counts, strict=True)}


def _quantiles(counts: npt.NDArray[np.int64]) -> dict[str, float]:
    values = np.quantile(counts, list(QUANTILES.values()))
    return dict(zip(QUANTILES, values.tolist(), strict=True)) | {"mean": float(counts.mean())}


def _share_of_head(counts: npt.NDArray[np.int64]) -> float:
    """Share of events, 0 to 1, that the most watched fifth of the films watched at all has."""
    watched = np.sort(counts[counts > 0])[::-1]
    return float(watched[: max(1, round(HEAD_SHARE * len(watched)))].sum() / watched.sum())
