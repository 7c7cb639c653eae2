"""Make `import torchvision` work beside a CPU build of torch.

The registry's torchvision wheel is a CUDA build. Beside a CPU torch its native library does not load, and its
import then fails with "operator torchvision::nms does not exist", taking transformers and sentence-transformers
down with it. Nothing of ours calls those operators: it is enough that their schemas exist.

Call `guard_torchvision()` before the first import of torchvision, transformers or sentence_transformers. It is not
done at import, so that a program which needs none of them pays nothing.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

import torch

_SCHEMAS = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
)
"""Source: torchvision/csrc/ops/nms.cpp and ops/quantized. These two get a kernel at import even without the library."""

_fragments: list[torch.library.Library] = []
"""torch forgets an operator when its Library object is collected; this keeps ours for the life of the process."""


def guard_torchvision() -> bool:
    """Make torchvision importable; returns whether its native operators are there.

    True: the native library loads (torch and torchvision match), nothing was changed. False: only the schemas of
    `nms` and `qnms` are defined, and calling one of them fails. Calling this again changes nothing.

    Raises: ModuleNotFoundError when torchvision is not installed.
    """
    if _fragments:
        return False
    if _native_library_loads():
        return True
    fragment = torch.library.Library("torchvision", "FRAGMENT")
    for schema in _SCHEMAS:
        name = schema.partition("(")[0]
        if not hasattr(torch.ops.torchvision, name):
            fragment.define(schema)
    _fragments.append(fragment)
    return False


def _native_library_loads() -> bool:
    spec = importlib.util.find_spec("torchvision")
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError("torchvision is not installed; it comes with the extra `train`")
    libraries = sorted(Path(spec.origin).parent.glob("_C*"))
    if not libraries:
        return False
    try:
        torch.ops.load_library(libraries[0])
    except OSError:  # its CUDA libraries are not there: the case this module exists for
        return False
    return True
