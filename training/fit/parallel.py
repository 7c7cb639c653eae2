"""Networks that train at the same time: on the CPU each in a thread of its own, where one training follows another."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Self

import torch

from training.fit.loop import Curve
from training.fit.networks import Fit, Score
from training.fit.runtime import IN_MEMORY, Running


@dataclass(frozen=True, slots=True)
class Watch:
    """What a fit reports to while it runs."""

    score: Score | None = None
    """Quality of (user encoder, item vectors) on held-out people; None trains without early stopping."""
    on_stage: Callable[[str, int, int, str], None] = lambda stage, done, total, note: None
    """Called with (stage, steps done, steps in all, a few words)."""
    on_epoch: Callable[[str, Curve], None] = lambda network, curve: None
    """Called with (network, its curve so far) after each epoch, from the thread that trains it."""


UNWATCHED = Watch()


@dataclass(frozen=True, slots=True)
class Networks:
    """Networks to be trained on the same events."""

    fits: Mapping[str, Fit]
    watch: Watch
    device: torch.device
    running: Running = IN_MEMORY

    def train(self, name: str, stop_after: int | None = None) -> Curve:
        """Train one of them, for so many epochs of its schedule when `stop_after` says so."""
        fit = self.fits[name]
        if stop_after is not None:
            fit = replace(fit, loop=replace(fit.loop, stop_after=stop_after))
        epochs = fit.loop.stop_after or fit.loop.epochs
        self.watch.on_stage(name, 0, epochs, "")

        def on_epoch(curve: Curve) -> None:
            self.watch.on_stage(name, len(curve.losses), epochs, describe(curve))
            self.watch.on_epoch(name, curve)

        return fit.run(self.watch.score, on_epoch, self.running.state_of(name))


class Lanes:
    """A thread for each network, which does what it is given in turn; on a GPU one thread for all.

    On the CPU each computes with one thread. Their matrices are small: split over two cores, each product waits for
    the slower one. One thread each also makes the result the same on every machine.
    """

    def __init__(self, networks: Networks) -> None:
        self.parallel = networks.device.type == "cpu"
        if self.parallel:
            self._lanes = {
                name: ThreadPoolExecutor(1, initializer=torch.set_num_threads, initargs=(1,)) for name in networks.fits
            }
        else:
            self._lanes = dict.fromkeys(networks.fits, ThreadPoolExecutor(1))

    def train(self, networks: Networks, trials: Mapping[str, Future[Curve]] | None = None) -> dict[str, Future[Curve]]:
        """Train networks after what their lanes were given before.

        trials: those of the same networks, which tell how many epochs to train; they must have come before.
        """

        def run(name: str) -> Curve:
            return networks.train(name, trials[name].result().best_epochs if trials else None)

        return {name: self._lanes[name].submit(run, name) for name in networks.fits}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Wait for what is being trained; what has not begun is left."""
        for lane in self._lanes.values():
            lane.shutdown(wait=False, cancel_futures=True)
        for lane in self._lanes.values():
            lane.shutdown()


def results(trainings: Mapping[str, Future[Curve]]) -> dict[str, Curve]:
    """The curve of each network, once all are trained. Raises what a training raised."""
    return {name: training.result() for name, training in trainings.items()}


def describe(curve: Curve) -> str:
    """The last epoch in a few words."""
    loss = f"loss {curve.losses[-1]:.3f}"
    return f"{loss}, NDCG@10 {curve.scores[-1]:.4f}" if curve.scores else loss
