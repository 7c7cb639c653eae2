"""The questions that an index is measured with: what the release's encoders and fusion make of its own people."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt

from export.graphs.onnx_graphs import onnx_run
from export.release.histories import read_histories
from features.history import history_tensors
from features.sources import FUSION_INPUTS, SOURCES, encoders

Float32 = npt.NDArray[np.float32]

QUERIES = 200
"""People asked for, drawn evenly: the error of a recall near 0.95 is then below 0.01."""


def release_queries(folder_of: Callable[[str], Path], weights: dict[str, float], count: int = QUERIES) -> Float32:
    """(Q, D) queries of the fused space: what the release's exported encoders and fusion make of its people.

    folder_of: where a model's files are. Fewer come back when the release knows fewer people.
    """
    people = read_histories(folder_of("retrieval") / "histories.npz")[1]
    places = np.unique(np.linspace(0, len(people) - 1, count if people else 0).astype(np.int64))
    inputs = history_tensors([people[place] for place in places])
    mixed: dict[str, npt.NDArray[np.generic]] = {}
    for model, outputs in encoders().items():
        given = onnx_run(folder_of(model) / "model.onnx")(inputs)
        mixed |= {FUSION_INPUTS[source]: given[output] for output, source in outputs.items()}
    row = np.array([weights.get(source, 0.0) for source in SOURCES], dtype=np.float32)
    mixed["weights"] = np.tile(row, (len(inputs["history"]), 1))
    queries: Float32 = onnx_run(folder_of("fusion") / "model.onnx")(mixed)["query"]
    return queries
