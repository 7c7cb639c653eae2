"""Triton Python-backend model `retrieval`: the release's FAISS index, searched for all waiting requests at once.

Export writes it as `model.py` beside `items.index`, `index.json`, `item_vectors.npy`, `fused_search.py`,
`film_index.py` and `sources.py`. It needs NumPy and faiss only.
What goes in and out is written in `model_repository/retrieval/config.pbtxt`.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import faiss
import numpy as np
import triton_python_backend_utils as pb_utils


def _load_beside(name: str) -> ModuleType:
    """A module of this folder, under a name of its own: two releases may live in one process."""
    path = Path(__file__).with_name(f"{name}.py")
    module = ModuleType(f"{name}@{path}")
    sys.modules[module.__name__] = module
    exec(compile(path.read_bytes(), path, "exec"), module.__dict__)
    return module


fused_search = _load_beside("fused_search")
film_index = _load_beside("film_index")
sources = _load_beside("sources")


class TritonPythonModel:
    """Holds the index; on a GPU instance also its copy there."""

    def initialize(self, args: dict[str, str]) -> None:
        """Read the index; move a copy to the GPU where the instance has one and this faiss can use it."""
        folder = Path(__file__).parent
        index = faiss.read_index(str(folder / "items.index"))
        settings = json.loads((folder / "index.json").read_text())
        gpu_index = None
        if args["model_instance_kind"] == "GPU" and settings["gpu"] and hasattr(faiss, "StandardGpuResources"):
            gpu_index = self._copy_on_gpu(index, int(args["model_instance_device_id"]))
        vectors = None if settings["kind"] == "flat" else np.load(folder / "item_vectors.npy", mmap_mode="r")
        films = film_index.FilmIndex(index, vectors, settings["oversampling"], gpu_index)
        self.search = fused_search.FusedSearch(films, tuple(sources.SOURCE_WIDTHS.values()))

    def _copy_on_gpu(self, index: Any, gpu: int) -> Any:
        """The index on that GPU; None, and a line in the log, where faiss cannot put it there."""
        self.gpu_resources = faiss.StandardGpuResources()  # must outlive the copy
        try:
            return faiss.index_cpu_to_gpu(self.gpu_resources, gpu, index)
        except RuntimeError as error:
            pb_utils.Logger.log_warn(f"the index stays on the CPU, faiss cannot copy it to GPU {gpu}: {error}")
            return None

    def execute(self, requests: list[Any]) -> list[Any]:
        """One response per request. A request that cannot be answered gets an error; the others their films."""
        questions = [self._question(request) for request in requests]
        good = [question for question in questions if not isinstance(question, pb_utils.TritonError)]
        answers = iter(self.search.answer(good) if good else ())
        return [
            pb_utils.InferenceResponse(error=question)
            if isinstance(question, pb_utils.TritonError)
            else _response(next(answers))
            for question in questions
        ]

    def finalize(self) -> None:
        """Let go of the index, and of the GPU's memory with it."""
        del self.search

    def _question(self, request: Any) -> Any:
        """fused_search.Question of a request, or the TritonError that answers it."""
        tensors = {name: _tensor(request, name) for name in fused_search.Question.__dataclass_fields__}
        if tensors["extra_rows"].shape != tensors["extra_scores"].shape:
            shapes = f"{tensors['extra_rows'].shape} and {tensors['extra_scores'].shape}"
            return _refusal(f"extra_rows and extra_scores must have one shape, not {shapes}")
        tensors["extra_weight"] = tensors["extra_weight"].reshape(-1)
        tensors["top_k"] = tensors["top_k"].reshape(-1).astype(np.int64)
        question = fused_search.Question(**tensors)
        try:
            self.search.check(question)
        except fused_search.SearchRefused as error:
            return _refusal(str(error))
        return question


def _tensor(request: Any, name: str) -> Any:
    tensor = pb_utils.get_input_tensor_by_name(request, name)
    return None if tensor is None else tensor.as_numpy()


def _refusal(message: str) -> Any:
    return pb_utils.TritonError(message, pb_utils.TritonError.INVALID_ARG)


def _response(answer: Any) -> Any:
    return pb_utils.InferenceResponse(
        [
            pb_utils.Tensor("rows", answer.rows),
            pb_utils.Tensor("scores", answer.scores),
            pb_utils.Tensor("contributions", answer.contributions),
        ]
    )
