"""Graphs in half precision for GPUs, and in 8-bit integers for CPUs; inputs and outputs stay float32.

Chosen per release with `--precision`. What is lost is measured like everything else: see `DEMANDS`.
"""

from __future__ import annotations

import logging
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import onnx
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_dynamic, quantize_static
from onnxruntime.transformers.float16 import convert_float_to_float16

from export.durable_files import write_atomically
from export.example_inputs import Tensors

Precision = Literal["fp32", "fp16", "int8"]

REDUCIBLE_MODELS = ("sequence_encoder", "user_tower", "text_encoder", "image_encoder")
"""Networks of matrix products. The others solve, sort or scale, where digits matter and nothing is saved."""


FLOAT_CONVOLUTIONS = 11
"""ResNet-50's stem and first stage stay in floating point: what they round off goes through all others. Measured on
posters of the embedded sample: 91 % of the first ten films are kept, 83 % with all convolutions in integers."""


@dataclass(frozen=True, slots=True)
class Demands:
    """How close to its network an exported file must be."""

    relative_tolerance: float
    """Of the largest value compared."""
    min_ranking_overlap: float
    """Share of the first ten films in common, the mean over all people or texts tried; 1 = the same ranking."""


DEMANDS: dict[Precision, Demands] = {
    # Two runtimes sum some hundred float32 products in different orders: about 1e-5.
    "fp32": Demands(1e-4, 1.0),
    # Ten bits of mantissa, 1e-3, lost a few times over on the way through six layers.
    "fp16": Demands(1e-2, 0.98),
    # MiniLM on the embedded sample: 0.12 of the largest value, and 92 % of the first ten films.
    "int8": Demands(0.25, 0.85),
}


def reduce_precision(path: Path, precision: Precision, calibration: Sequence[Tensors]) -> None:
    """Rewrite a float32 graph in place.

    calibration: batches whose values tell how far convolutions' activations reach; matrix products find out as
    they run.
    """
    if precision == "fp16":
        model = convert_float_to_float16(onnx.load(path), keep_io_types=True)
    elif precision == "int8":
        model = _in_integers(path, calibration)
    else:
        return
    write_atomically(path, model.SerializeToString(deterministic=True))


def _in_integers(path: Path, calibration: Sequence[Tensors]) -> onnx.ModelProto:
    nodes = onnx.load(path).graph.node
    convolutions = [place for place, node in enumerate(nodes) if node.op_type == "Conv"]
    with tempfile.TemporaryDirectory() as folder, _quiet_quantizer():
        written = Path(folder) / "model.onnx"
        if convolutions:
            deep = len(convolutions) > 2 * FLOAT_CONVOLUTIONS
            first_stage = nodes[: convolutions[FLOAT_CONVOLUTIONS]] if deep else []
            quantize_static(
                path,
                written,
                _Batches(calibration),
                quant_format=QuantFormat.QDQ,
                per_channel=True,
                nodes_to_exclude=[node.name for node in first_stage],
            )
        else:
            products = ["MatMul", "Gemm"]
            quantize_dynamic(path, written, products, per_channel=True, weight_type=QuantType.QInt8)
        model = onnx.load(written)
    model.producer_name, model.producer_version = "marquee", ""
    return model


class _Batches(CalibrationDataReader):
    def __init__(self, batches: Sequence[Tensors]) -> None:
        self._rest = iter(batches)

    def get_next(self) -> Tensors | None:
        return next(self._rest, None)


@contextmanager
def _quiet_quantizer() -> Iterator[None]:
    """Without its advice to preprocess: the exporter's graphs are simplified already."""
    root = logging.getLogger()
    level = root.level
    root.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        root.setLevel(level)
