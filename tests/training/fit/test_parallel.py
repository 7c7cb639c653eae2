"""Which training of which network runs when."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from threading import Event
from typing import Any

import pytest
import torch

from training.fit.loop import Curve, LoopConfig
from training.fit.parallel import NO_CALLBACKS, Networks, TrainingThreads, results

CPU, CUDA = torch.device("cpu"), torch.device("cuda")
PATIENCE_S = 20
"""Far longer than a thread needs to begin; only a failing test waits for it."""


class Broken(Exception):
    """A training that fails."""


@dataclass(frozen=True)
class FakeNetwork:
    """Calls a function in place of training; its best epoch is the second of three."""

    does: Callable[[LoopConfig], object] = lambda loop: None
    loop: LoopConfig = field(default_factory=lambda: LoopConfig(3, 3, None, 1e-3, 0.0, 0))

    def train(self, *arguments: Any) -> Curve:
        self.does(self.loop)
        return Curve([3.0, 2.0, 1.0], [0.1, 0.3, 0.2])


def networks(device: torch.device = CPU, **does: Callable[[LoopConfig], object]) -> Networks:
    return Networks({name: FakeNetwork(what) for name, what in does.items()}, NO_CALLBACKS, device)  # type: ignore[misc]


def nothing(loop: LoopConfig) -> None:
    """The quickest training."""


def test_a_refit_begins_while_another_network_is_still_tried() -> None:
    quick_is_refitted, waited = Event(), []
    tried = networks(slow=lambda loop: waited.append(quick_is_refitted.wait(PATIENCE_S)), quick=nothing)
    refitted = networks(slow=nothing, quick=lambda loop: quick_is_refitted.set())

    with TrainingThreads(tried) as threads:
        results(threads.train(refitted, threads.train(tried)))

    assert waited == [True]


def test_a_refit_takes_as_many_epochs_as_its_trial_found_best() -> None:
    reported: list[int | None] = []
    tried, refitted = networks(one=nothing), networks(one=lambda loop: reported.append(loop.stop_after))

    with TrainingThreads(tried) as threads:
        results(threads.train(refitted, threads.train(tried)))

    assert reported == [2]


def test_on_a_gpu_networks_take_turns() -> None:
    running, most = [], []

    def alone(loop: LoopConfig) -> None:
        running.append(loop)
        most.append(len(running))
        running.pop()

    with TrainingThreads(networks(CUDA, one=alone, two=alone)) as threads:
        assert not threads.parallel
        results(threads.train(networks(CUDA, one=alone, two=alone)))

    assert most == [1, 1]


def test_a_training_that_fails_is_told_and_what_comes_after_is_left() -> None:
    begun: list[LoopConfig] = []

    def fail(loop: LoopConfig) -> None:
        raise Broken

    with TrainingThreads(networks(one=fail)) as threads:
        trials = threads.train(networks(one=fail))
        refits = threads.train(networks(one=begun.append), trials)
        with pytest.raises(Broken):
            results(trials)
        with pytest.raises(Broken):
            results(refits)

    assert begun == []
