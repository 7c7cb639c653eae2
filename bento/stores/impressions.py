"""Served lists, stored as long as events may refer to them, and the counts of experiments."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from msgspec import Struct

from features.ids import Id

LISTS_PER_PERSON_LIMIT = 100
"""Lists that a person's events may refer to: the newest."""

STREAM_LIMIT = 20_000
"""Approximate number of entries of recent lists for reports; lists written together share one."""


class Impression(Struct, frozen=True):
    """A list that was served. Nothing in it names the person."""

    recommendation_id: str
    movie_ids: list[Id]
    arms: Mapping[str, str]
    """Experiment -> arm."""
    strategy: str
    release: int
    served_at_s: float


@dataclass(frozen=True, slots=True)
class Counts:
    """The counts of one arm of an experiment."""

    lists: int = 0
    clicked_lists: int = 0
    """Lists with at least one click or other positive event."""
    people: int = 0
    """Approximate, within one percent."""
