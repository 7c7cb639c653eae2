"""A network's state on disk after each epoch, from which an interrupted training resumes."""

from __future__ import annotations

import os
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import structlog
import torch

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class ResumeFile:
    """The state of one network's training."""

    path: Path

    def load(self, of: str) -> dict[str, Any] | None:
        """What was saved last; None without a file, with that of another training than `of`, or an incomplete one."""
        if not self.path.exists():
            return None
        if not zipfile.is_zipfile(self.path):  # what torch writes; its reader has no one error for anything else
            log.warning("unfinished_training_unreadable", path=str(self.path), goes_on="from the start")
            return None
        state = torch.load(self.path, map_location="cpu", weights_only=True)
        if state.get("of") != of:
            return None
        log.info("training_resumed", network=self.path.stem, epochs=len(state["losses"]))
        return dict(state)

    def save(self, state: dict[str, Any]) -> None:
        """Replace the file in one step."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        partial = self.path.with_suffix(f".partial-{os.getpid()}")
        torch.save(state, partial)
        partial.replace(self.path)
