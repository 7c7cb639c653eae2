"""Is a new release good enough to take the current one's place? Asked only of releases of the same data."""

from __future__ import annotations

from typing import Any

from export.errors import ReleaseRefused
from features.release_manifest import Manifest, ReleaseFacts

METRIC = "ndcg@10"
"""Of the hybrid on validation people: what training chooses everything else by."""


def check_quality(new: ReleaseFacts, manifest: Manifest, max_loss_ratio: float) -> None:
    """Compare with the current release, or where that is of other data with the newest of the same; the first one of
    its data always passes. Who went back from a bad release compares with the good one.

    max_loss_ratio: share of the metric that may be lost, 0 to 1.
    Raises: ReleaseRefused.
    """
    rivals = [number for number, release in manifest.releases.items() if _comparable(new, release)]
    if not rivals:
        return
    rival = manifest.current if manifest.current in rivals else max(rivals)
    current, fresh = quality(manifest.releases[rival].metrics), quality(new.metrics)
    if fresh < current * (1 - max_loss_ratio):
        raise ReleaseRefused(METRIC, fresh, current, max_loss_ratio)


def quality(metrics: dict[str, Any]) -> float:
    """The hybrid's validation score in what training measured."""
    return float(metrics["validation"]["sources"]["hybrid"][METRIC]["mean"])


def _comparable(new: ReleaseFacts, old: ReleaseFacts) -> bool:
    return (new.data.fingerprint, new.data.hold_out) == (old.data.fingerprint, old.data.hold_out)
