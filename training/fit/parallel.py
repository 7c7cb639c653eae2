"""Networks that train in parallel: on the CPU each in its own thread, where trial and refit follow each other."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Self

import torch

from training.fit.loop import Curve
from training.fit.networks import Score, TrainableNetwork
from training.fit.runtime import IN_MEMORY, Runtime


@dataclass(frozen=True, slots=True)
class Callbacks:
    """Functions that a training calls while it runs."""

    score: Score | None = None
    """Quality of (user encoder, item vectors) on held-out people; None trains without early stopping."""
    on_stage: Callable[[str, int, int, str], None] = lambda stage, done, total, note: None
    """Called with (stage, steps done, steps in all, a few words)."""
    on_epoch: Callable[[str, Curve], None] = lambda network, curve: None
    """Called with (network, its curve so far) after each epoch, from the thread that trains it."""


NO_CALLBACKS = Callbacks()


@dataclass(frozen=True, slots=True)
class Networks:
    """Networks to be trained on the same events."""

    by_name: Mapping[str, TrainableNetwork]
    callbacks: Callbacks
    device: torch.device
    runtime: Runtime = IN_MEMORY

    def train(self, name: str, stop_after: int | None = None) -> Curve:
        """Train one of them, for so many epochs of its schedule when `stop_after` says so."""
        network = self.by_name[name]
        if stop_after is not None:
            network = replace(network, loop=replace(network.loop, stop_after=stop_after))
        epochs = network.loop.stop_after or network.loop.epochs
        self.callbacks.on_stage(name, 0, epochs, "")

        def on_epoch(curve: Curve) -> None:
            self.callbacks.on_stage(name, len(curve.losses), epochs, describe(curve))
            self.callbacks.on_epoch(name, curve)

        return network.train(self.callbacks.score, on_epoch, self.runtime.resume_file(name))


class TrainingThreads:
    """A thread for each network, which runs its trainings in the order given; on a GPU one thread for all.

    On the CPU each computes with one thread. Their matrices are small: split over two cores, each product waits for
    the slower one. One thread each also makes the result the same on every machine.
    """

    def __init__(self, networks: Networks) -> None:
        self.parallel = networks.device.type == "cpu"
        if self.parallel:
            self._threads = {
                name: ThreadPoolExecutor(1, initializer=torch.set_num_threads, initargs=(1,))
                for name in networks.by_name
            }
        else:
            self._threads = dict.fromkeys(networks.by_name, ThreadPoolExecutor(1))

    def train(self, networks: Networks, trials: Mapping[str, Future[Curve]] | None = None) -> dict[str, Future[Curve]]:
        """Train networks, each after the trainings that its thread was given before.

        trials: those of the same networks, whose curves say how many epochs to train; they must have been given before.
        """

        def run(name: str) -> Curve:
            return networks.train(name, trials[name].result().best_epochs if trials else None)

        return {name: self._threads[name].submit(run, name) for name in networks.by_name}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Wait for the trainings that run; those that have not begun are cancelled."""
        for thread in self._threads.values():
            thread.shutdown(wait=False, cancel_futures=True)
        for thread in self._threads.values():
            thread.shutdown()


def results(trainings: Mapping[str, Future[Curve]]) -> dict[str, Curve]:
    """The curve of each network, once all are trained. Raises: what a training raised."""
    return {name: training.result() for name, training in trainings.items()}


def describe(curve: Curve) -> str:
    """The last epoch in a few words."""
    loss = f"loss {curve.losses[-1]:.3f}"
    return f"{loss}, NDCG@10 {curve.scores[-1]:.4f}" if curve.scores else loss
