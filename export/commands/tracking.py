"""Whether a release is written down in MLflow, as said on the command line; imports nothing slow."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from export.errors import TrackingUnavailable

if TYPE_CHECKING:
    from training.tracking.runs import Store


@dataclass(frozen=True, slots=True)
class Tracking:
    """Where to write down, and whether a training begins it."""

    wanted: bool
    """True: the training is written down. False: a release is registered where its training was."""
    uri: str | None = None
    """MLflow's address; None = the SQLite file below HOME."""

    def store(self, home: Path) -> Store | None:
        """The store, or None when there is nothing to write to.

        Raises: TrackingUnavailable when it is wanted and MLflow is not installed.
        """
        from training.tracking.runs import Store, available

        if not self.wanted:
            return Store.existing(self.uri, home)
        if not available():
            raise TrackingUnavailable
        return Store.of(self.uri, home)


NOT_TRACKED = Tracking(wanted=False)


def registered_line(data: str, version: str) -> str:
    """What a release is in the registry, for people."""
    from training.tracking.registry import model_name
    from training.tracking.runs import SERVED

    return f"Version {version} of {model_name(data)} in MLflow has the alias {SERVED!r}"
