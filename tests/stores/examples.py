"""The stores that tests are parametrised by, and a clock."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from bento.stores.interfaces import EventLog, FeatureStore, ResponseCache

REAL = [pytest.param(fixture, marks=pytest.mark.redis, id=fixture) for fixture in ("link", "cluster_link")]
"""Fixtures that give a link to a real Redis: one server, and a cluster."""


class Ticks:
    """A clock in microseconds that moves by one at every look."""

    def __init__(self) -> None:
        self.now_us = 1_000

    def __call__(self) -> int:
        self.now_us += 1
        return self.now_us


@dataclass
class Stores:
    features: FeatureStore
    answers: ResponseCache
    log: EventLog
