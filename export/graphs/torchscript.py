"""Networks to TorchScript files, for servers with libtorch and Triton's PyTorch backend.

Names, by that backend's rules: inputs are matched with the argument names of `forward`, which tracing keeps;
outputs that do not end in `__<index>` are taken in the order of config.pbtxt.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from export.durable_files import write_atomically
from export.errors import GraphRejected, SignatureMismatch
from export.example_inputs import Tensors
from export.graphs.parity import Run


def export_torchscript(module: nn.Module, example: Tensors, model: str, path: Path) -> None:
    """Trace a network and write it; `module` has `input_names`, and `forward` arguments of those names.

    Raises: GraphRejected, SignatureMismatch.
    """
    names = tuple(module.input_names)  # type: ignore[arg-type]
    arguments = tuple(torch.from_numpy(np.ascontiguousarray(example[name])) for name in names)
    try:
        with _quiet_torchscript(), torch.inference_mode():
            traced = torch.jit.trace(module.eval(), arguments, check_trace=False)
    except RuntimeError as error:
        raise GraphRejected(model, error) from error
    arguments_of_forward = tuple(argument.name for argument in traced.forward.schema.arguments)[1:]
    if arguments_of_forward != names:
        raise SignatureMismatch(model, "forward", arguments_of_forward, names)
    _follow_the_input_device(traced.graph)
    file = io.BytesIO()
    with _quiet_torchscript():
        torch.jit.save(traced, file)
    write_atomically(path, file.getvalue())


def torchscript_run(path: Path, input_names: tuple[str, ...], output_names: tuple[str, ...]) -> Run:
    """The exported file on the CPU: inputs of a batch to outputs of a batch."""
    with _quiet_torchscript():
        loaded = torch.jit.load(path, map_location="cpu")

    def run(batch: Tensors) -> Tensors:
        with torch.inference_mode():
            outputs = loaded(*(torch.from_numpy(np.ascontiguousarray(batch[name])) for name in input_names))
        return {name: output.numpy() for name, output in zip(output_names, outputs, strict=True)}

    return run


def _follow_the_input_device(graph: Any) -> None:
    """Make new tensors where the inputs are. Tracing writes down the device that it ran on, which a GPU is not.

    Not frozen either: a frozen graph's weights are constants, which `module.to(device)` leaves behind.
    """
    torch._C._jit_pass_inline(graph)
    _, first_input, *_ = graph.inputs()
    device = graph.create("prim::device", [first_input], 1)
    device.output().setType(torch._C.DeviceObjType.get())
    graph.prependNode(device)
    for constant in graph.findAllNodes("prim::Constant"):
        if constant.output().type().kind() == "DeviceObjType":
            constant.output().replaceAllUsesWith(device.output())
    torch._C._jit_pass_dce(graph)


@contextmanager
def _quiet_torchscript() -> Iterator[None]:
    with warnings.catch_warnings():
        # torch.export, which the warning recommends, writes files that Triton's PyTorch backend does not read.
        warnings.filterwarnings("ignore", message=r"`torch\.jit\.\w+` is deprecated", category=DeprecationWarning)
        # Tracing suspects every loop over a tensor; whether other batches come out right is proven, not guessed.
        warnings.filterwarnings("ignore", category=torch.jit.TracerWarning)
        yield
