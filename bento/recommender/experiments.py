"""Experiments: the arm of each person, and what it changes in their requests. Pure but for reading the file.

    ExperimentsError   the file named by EXPERIMENTS is invalid; the service does not start

The arm follows from a hash of the experiment's name, its salt and the person's id: it is the same in every worker and
after every restart, and independent between experiments. Options that a request sets itself are never overridden; such
requests, and anonymous ones, take no part.
"""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from bento.recommender.ranking.neural_sources import without_embeddings
from bento.recommender.schemas import FilteredRequest, RecommendRequest
from features.scorers import Scorer
from features.sources import SOURCES

Name = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")]

WEIGHING = ("preset", "weights", "use_embeddings")
"""Three options that all set the fusion weights."""

SHARES_TOLERANCE = 1e-9
"""For rounding: three thirds do not add up to exactly 1."""


class ExperimentsError(ValueError):
    """The definition of an experiment is invalid."""

    def __init__(self, place: Path | str, why: str) -> None:
        super().__init__(f"EXPERIMENTS: {place}: {why}")


class Arm(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One variant of an experiment. Options that it leaves out stay the same."""

    name: Name
    share: Annotated[float, Meta(gt=0, le=1, description="Share of all people.")]
    preset: str | None = None
    weights: dict[str, Annotated[float, Meta(ge=-100, le=100)]] | None = None
    use_embeddings: bool | None = None
    """false: without the neural sources."""
    diversity: Annotated[float, Meta(ge=0, le=1)] | None = None
    freshness: Annotated[float, Meta(ge=0, le=1)] | None = None
    scorer: Scorer | None = None

    def changes(self) -> frozenset[str]:
        """The options that the arm sets, by the request's names: `weights` for all three of `WEIGHING`."""
        given = {field for field in self.__struct_fields__[2:] if getattr(self, field) is not None}
        return frozenset("weights" if field in WEIGHING else field for field in given)


class Experiment(Struct, frozen=True, forbid_unknown_fields=True):
    """A comparison of variants, each answering a share of the people."""

    name: Name
    arms: Annotated[list[Arm], Meta(min_length=2)]
    """The others are compared with the first. People in none of the shares take no part."""
    salt: Annotated[str, Meta(max_length=64)] = ""
    """Another salt assigns people to other arms."""

    def arm_of(self, user_id: str) -> Arm | None:
        """The person's arm; None for the share that no arm takes."""
        digest = hashlib.blake2b(f"{self.name}\0{self.salt}\0{user_id}".encode(), digest_size=8).digest()
        place, end = int.from_bytes(digest, "big") / 2**64, 0.0
        for arm in self.arms:
            end += arm.share
            if place < end:
                return arm
        return self.arms[-1] if end > 1 - SHARES_TOLERANCE else None

    def changes(self) -> frozenset[str]:
        """The options that any arm sets."""
        return frozenset().union(*(arm.changes() for arm in self.arms))

    @property
    def edition(self) -> str:
        """Identifies the definition: a changed experiment starts its counts from zero."""
        return hashlib.blake2b(msgspec.json.encode(self), digest_size=6).hexdigest()

    @property
    def counter_key(self) -> str:
        """The name under which the store counts this definition of the experiment."""
        return f"{self.name}:{self.edition}"


class _File(Struct, frozen=True, forbid_unknown_fields=True):
    experiments: list[Experiment] = []


Asked = RecommendRequest | FilteredRequest


class Experiments:
    """The running experiments."""

    def __init__(self, running: Sequence[Experiment] = (), release_weights: dict[str, float] | None = None) -> None:
        """`release_weights`: the release's own, by source; `use_embeddings = false` removes the neural ones."""
        self.running = {experiment.name: experiment for experiment in running}
        self._without_embeddings = without_embeddings(release_weights or {})

    def counter_keys(self) -> dict[str, str]:
        """Experiment -> the name under which the store counts it."""
        return {name: experiment.counter_key for name, experiment in self.running.items()}

    def apply(self, asked: Asked) -> tuple[Asked, dict[str, str]]:
        """The request with the person's arms applied, and experiment -> arm for those it takes part in."""
        if not self.running or asked.user_id is None:
            return asked, {}
        arms: dict[str, str] = {}
        changed: dict[str, Any] = {}
        already_set = _set_options(asked)
        for experiment in self.running.values():
            arm = experiment.arm_of(str(asked.user_id))
            if arm is None or already_set & experiment.changes():
                continue
            arms[experiment.name] = arm.name
            changed |= self._overrides(arm)
        return (msgspec.structs.replace(asked, **changed) if changed else asked), arms

    def _overrides(self, arm: Arm) -> dict[str, Any]:
        if arm.use_embeddings is False:
            return {"weights": self._without_embeddings}
        fields = (field for field in arm.__struct_fields__[2:] if field != "use_embeddings")
        return {field: value for field in fields if (value := getattr(arm, field)) is not None}


def _set_options(asked: Asked) -> frozenset[str]:
    """The options that the request sets itself."""
    weighed = asked.preset is not None or asked.weights is not None
    others = {field for field in ("diversity", "freshness", "scorer") if getattr(asked, field) is not None}
    return frozenset(("weights",) * weighed) | others


def read_experiments(path: Path | None, presets: Collection[str], scorers: Collection[str]) -> list[Experiment]:
    """The experiments of a TOML or JSON file (by its ending), `[[experiments]]` each; none without a file.

    presets, scorers: those of the release that is served.
    Raises: ExperimentsError.
    """
    if path is None:
        return []
    try:
        text = path.read_bytes()
        read = msgspec.json.decode(text) if path.suffix == ".json" else tomllib.loads(text.decode())
        experiments = msgspec.convert(read, _File).experiments
    except OSError as error:
        raise ExperimentsError(path, error.strerror or str(error)) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, msgspec.MsgspecError) as error:
        raise ExperimentsError(path, str(error).replace("`", "")) from error
    _check_together(experiments)
    for experiment in experiments:
        _check(experiment, presets, scorers)
    return experiments


def _check(experiment: Experiment, presets: Collection[str], scorers: Collection[str]) -> None:
    names = [arm.name for arm in experiment.arms]
    if len(set(names)) < len(names):
        raise ExperimentsError(experiment.name, f"two arms have one name: {', '.join(names)}")
    total = sum(arm.share for arm in experiment.arms)
    if total > 1 + SHARES_TOLERANCE:
        raise ExperimentsError(experiment.name, f"the shares add up to {total:g}, expected at most 1")
    for arm in experiment.arms:
        place = f"{experiment.name}, arm {arm.name}"
        given = [field for field in WEIGHING if getattr(arm, field) is not None]
        if len(given) > 1:
            raise ExperimentsError(place, f"{' and '.join(given)} all set the weights, give one of them")
        if arm.preset is not None and arm.preset not in presets:
            known = ", ".join(sorted(presets)) or "(the release has none)"
            raise ExperimentsError(place, f"preset {arm.preset!r}, expected one of {known}")
        if arm.scorer is not None and arm.scorer not in scorers:
            raise ExperimentsError(place, f"scorer {arm.scorer!r}, the release has {', '.join(scorers)}")
        if unknown := set(arm.weights or ()) - set(SOURCES):
            raise ExperimentsError(place, f"unknown sources {sorted(unknown)}, expected some of {', '.join(SOURCES)}")


def _check_together(experiments: Sequence[Experiment]) -> None:
    """A person is in all experiments at once, so no two may set the same option."""
    decided_by: dict[str, str] = {}
    for experiment in experiments:
        if experiment.name in decided_by.values():
            raise ExperimentsError(experiment.name, "two experiments have this name")
        for change in experiment.changes() or {f"nothing in {experiment.name}"}:
            if change in decided_by:
                why = f"{change} is what {decided_by[change]} changes already; run one after the other"
                raise ExperimentsError(experiment.name, why)
            decided_by[change] = experiment.name
