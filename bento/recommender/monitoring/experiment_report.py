"""What an experiment shows so far: exposure, click-through rates with intervals, and each arm against the first."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Struct

from bento.recommender.experiments import Experiment
from bento.recommender.monitoring.proportions import holm, two_proportion_z, wilson_interval
from bento.stores.impressions import Counts
from bento.stores.interfaces import ImpressionLog

METHOD = "two-proportion z-test, pooled variance, normal approximation, two-sided, Holm's correction"

SIGNIFICANT_BELOW = 0.05

FEWEST = 10
"""Clicked and not clicked lists that both sides need before the normal approximation means anything."""


class ArmResult(Struct, frozen=True):
    """One arm so far."""

    name: str
    share: float
    overrides: dict[str, Any]
    people: int
    """People who were served a list, within one percent."""
    lists: int
    """Exposure: lists that were served."""
    clicked_lists: int
    """Lists of which a film was clicked, viewed, liked, bought or rated 3.5 or more."""
    ctr: float | None
    """clicked_lists / lists; null before the first list."""
    ctr_low: float | None
    ctr_high: float | None
    """Ends of the 95 % interval (Wilson)."""


class Comparison(Struct, frozen=True):
    """An arm against the first one."""

    arm: str
    against: str
    difference: float | None
    """Of the click-through rates; positive: this arm's is higher."""
    z: float | None
    p_value: float | None
    """Corrected for the number of arms; null while there is nothing to compare."""
    significant: bool
    enough: bool
    """Both sides have at least ten clicked and ten other lists; below that the p-value is a rough guess."""


class ExperimentResult(Struct, frozen=True):
    """Answer of `GET /experiments/{name}`."""

    name: str
    edition: str
    """Changes with the definition; counts begin anew then."""
    arms: list[ArmResult]
    method: str
    comparisons: list[Comparison]


async def result_of(experiment: Experiment, store: ImpressionLog) -> ExperimentResult:
    """What an experiment shows so far. Raises: StoreUnavailable."""
    counts = await store.counts(experiment.counter_key, [arm.name for arm in experiment.arms])
    arms = [_arm_result(arm.name, arm.share, msgspec.to_builtins(arm), counts[arm.name]) for arm in experiment.arms]
    return ExperimentResult(experiment.name, experiment.edition, arms, METHOD, comparisons(arms))


def comparisons(arms: list[ArmResult]) -> list[Comparison]:
    """Every arm against the first."""
    first, *others = arms
    tests = [two_proportion_z((first.clicked_lists, first.lists), (arm.clicked_lists, arm.lists)) for arm in others]
    corrected = iter(holm([test[1] for test in tests if test is not None]))
    compared = []
    for arm, test in zip(others, tests, strict=True):
        p_value = None if test is None else next(corrected)
        difference = None if arm.ctr is None or first.ctr is None else round(arm.ctr - first.ctr, 6)
        sides = [n for side in (first, arm) for n in (side.clicked_lists, side.lists - side.clicked_lists)]
        compared.append(
            Comparison(
                arm.name,
                first.name,
                difference,
                None if test is None else round(test[0], 4),
                None if p_value is None else round(p_value, 6),
                p_value is not None and p_value < SIGNIFICANT_BELOW,
                min(sides) >= FEWEST,
            )
        )
    return compared


def _arm_result(name: str, share: float, written: dict[str, Any], counts: Counts) -> ArmResult:
    overrides = {field: value for field, value in written.items() if field not in ("name", "share")}
    interval = wilson_interval(counts.clicked_lists, counts.lists)
    ctr = None if interval is None else round(counts.clicked_lists / counts.lists, 6)
    low, high = (None, None) if interval is None else (round(interval[0], 6), round(interval[1], 6))
    return ArmResult(name, share, overrides, counts.people, counts.lists, counts.clicked_lists, ctr, low, high)
