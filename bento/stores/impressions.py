"""Served lists, remembered for as long as an event may quote them, and what experiments count of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from msgspec import Struct

LISTS_PER_PERSON_LIMIT = 100
"""Lists that a person's events may quote; of more, the newest."""

STREAM_LIMIT = 20_000
"""Entries kept for whoever looks at what was served, roughly; lists written together share one."""


class Impression(Struct, frozen=True):
    """A list that was served. Nothing in it names the person."""

    recommendation_id: str
    movie_ids: list[int]
    arms: Mapping[str, str]
    """Experiment -> arm."""
    strategy: str
    release: int
    served_at_s: float


@dataclass(frozen=True, slots=True)
class Counts:
    """What an experiment counted in one arm."""

    lists: int = 0
    clicked_lists: int = 0
    """Lists of which at least one film was chosen."""
    people: int = 0
    """Roughly: within one percent."""
