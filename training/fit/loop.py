"""The training loop: seeded, stopped early by a score on held-out people, repeatable for a refit."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from training.fit.resume import ResumeFile

WARM_UP_SHARE = 0.5
"""Share of the learning rate in the first epoch, while Adam's estimates are young."""

GRADIENT_NORM = 5.0
"""Gradients are clipped to this norm."""


@dataclass(frozen=True, slots=True)
class LoopConfig:
    """How long and how fast to train."""

    epochs: int
    """The learning rate falls to 0 over this many epochs, and training ends there."""
    patience: int
    """Epochs without a better score before training stops."""
    stop_after: int | None
    """End after this many epochs of the schedule, as an earlier training found best; None = no such limit."""
    learning_rate: float
    weight_decay: float
    seed: int


@dataclass(slots=True)
class Curve:
    """The learning curve: loss and, where it was measured, score of each epoch."""

    losses: list[float] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)

    @property
    def best_epochs(self) -> int:
        """How many epochs led to the best score, or all of them when nothing was scored."""
        return self.scores.index(max(self.scores)) + 1 if self.scores else len(self.losses)


@dataclass(frozen=True, slots=True)
class ResumePoint:
    """Where a training resumes after an interruption."""

    file: ResumeFile | None = None
    """Its state after the last finished epoch; None = no state is written or read."""
    generators: Sequence[torch.Generator] = ()
    """Besides the loop's own: those of the network's dropout."""


class TrainingState:
    """A network, its optimizer, its random generators and its curve: everything that the next epoch depends on."""

    def __init__(self, net: nn.Module, config: LoopConfig, generators: Sequence[torch.Generator]) -> None:
        self.net, self.config = net, config
        self.generator = torch.Generator().manual_seed(config.seed)
        self.generators = (self.generator, *generators)
        self.optimizer = torch.optim.AdamW(
            net.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay, fused=True
        )
        self.curve, self.best = Curve(), copy.deepcopy(net.state_dict())

    def is_over(self, scored: bool) -> bool:
        """Whether the schedule has ended, or the limit or the patience is used up."""
        done, config = len(self.curve.losses), self.config
        if done >= min(config.epochs, config.stop_after or config.epochs):
            return True
        return scored and done - self.curve.best_epochs >= config.patience and done > 0

    def save(self, file: ResumeFile | None) -> None:
        """Write the whole state."""
        if file:
            file.save(
                {
                    "of": self._name(), "net": self.net.state_dict(), "best": self.best,
                    "optimizer": self.optimizer.state_dict(), "losses": self.curve.losses, "scores": self.curve.scores,
                    "generators": [generator.get_state() for generator in self.generators],
                }
            )  # fmt: skip

    def resume(self, file: ResumeFile | None) -> None:
        """Continue from the file when it holds the state of the same training."""
        found = file.load(self._name()) if file else None
        if found is None:
            return
        self.net.load_state_dict(found["net"])
        self.optimizer.load_state_dict(found["optimizer"])
        self.curve, self.best = Curve(found["losses"], found["scores"]), found["best"]
        for generator, drawn in zip(self.generators, found["generators"], strict=True):
            generator.set_state(drawn)

    def _name(self) -> str:
        shapes = {name: tuple(value.shape) for name, value in self.net.state_dict().items()}
        return f"{self.config} {shapes}"


def fit(
    net: nn.Module,
    losses: Callable[[torch.Generator], Iterator[Tensor]],
    config: LoopConfig,
    score: Callable[[], float] | None = None,
    on_epoch: Callable[[Curve], None] = lambda curve: None,
    resume_point: ResumePoint = ResumePoint(),
) -> Curve:
    """Train `net` in place with AdamW, cosine learning rate, and leave it with the weights of its best epoch.

    losses: one epoch's batches, each a scalar loss; the next is computed after the optimizer's step.
    score: higher is better, called after each epoch; None trains to the end.
    resume_point: where the state is written after each epoch; an interrupted training continues from it, with the same
    result as one without an interruption.
    """
    state = TrainingState(net, config, resume_point.generators)
    state.resume(resume_point.file)
    curve = state.curve
    while not state.is_over(score is not None):
        net.train()
        rate = learning_rate(config, len(curve.losses))
        curve.losses.append(_epoch(net, losses(state.generator), state.optimizer, rate))
        net.eval()
        if score is not None:
            curve.scores.append(score())
            if curve.best_epochs == len(curve.scores):
                state.best = copy.deepcopy(net.state_dict())
        state.save(resume_point.file)
        on_epoch(curve)
    if score is not None:
        net.load_state_dict(state.best)
    return curve


def learning_rate(config: LoopConfig, epoch: int) -> float:
    """The rate during one epoch: half of a cosine from the full rate towards 0, lower in the first epoch."""
    rate = config.learning_rate * 0.5 * (1 + math.cos(math.pi * epoch / config.epochs))
    return rate * WARM_UP_SHARE if epoch == 0 else rate


def _epoch(net: nn.Module, losses: Iterator[Tensor], optimizer: torch.optim.Optimizer, rate: float) -> float:
    for group in optimizer.param_groups:
        group["lr"] = rate
    total, batches = 0.0, 0
    for loss in losses:
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), GRADIENT_NORM)
        optimizer.step()
        total, batches = total + loss.item(), batches + 1
    return total / max(batches, 1)
