"""A TorchScript model for tests. Imported where torch is installed."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

import numpy as np
import torch

from bento.inference.core.messages import InferRequest

CONFIG = """
    platform: "pytorch_libtorch"
    max_batch_size: 8
    dynamic_batching { }
    input [{ name: "a" data_type: TYPE_FP32 dims: [ 3 ] }, { name: "b" data_type: TYPE_FP32 dims: [ 3 ] }]
    output [{ name: "difference" data_type: TYPE_FP32 dims: [ 3 ] }, { name: "sum" data_type: TYPE_FP32 dims: [ 3 ] }]
"""


class DifferenceAndSum(torch.nn.Module):
    def forward(self, a: torch.Tensor, b: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return a - b, a + b


def write_torch(repository: Path, name: str, module: torch.nn.Module, config: str) -> Path:
    folder = repository / name
    (folder / "1").mkdir(parents=True)
    (folder / "config.pbtxt").write_text(dedent(config))
    one = torch.zeros(1, 3)
    torch.jit.trace(module, (one, one)).save(str(folder / "1" / "model.pt"))
    return folder


def request(a: float, b: float, *, name: str = "torch", reverse: bool = False) -> InferRequest:
    inputs = {"a": np.full((2, 3), a, np.float32), "b": np.full((2, 3), b, np.float32)}
    return InferRequest(name, dict(reversed(inputs.items())) if reverse else inputs)
