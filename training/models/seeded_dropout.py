"""Dropout with its own random generator.

Torch's uses one generator per process, so two networks that train in two threads would change each other's masks from
run to run.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


class SeededDropout(nn.Module):
    """Zeroes each number with probability p while training, and scales the rest up; does nothing otherwise."""

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p
        self.generator: torch.Generator | None = None
        """None = the process's generator; `seed_dropout` sets one."""

    def forward(self, x: Tensor) -> Tensor:
        """Same shape as x."""
        if not self.training or self.p == 0:
            return x
        return x * torch.empty_like(x).bernoulli_(1 - self.p, generator=self.generator) / (1 - self.p)


def seed_dropout(net: nn.Module, generator: torch.Generator) -> None:
    """Let all dropouts of a network use this generator, which must be on the network's device."""
    for module in net.modules():
        if isinstance(module, SeededDropout):
            module.generator = generator
