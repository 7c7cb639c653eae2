"""Triton Python-backend model `image_decoder`: encoded posters to the pixels that the image encoder reads.

Export writes it as `model.py` beside `posters.py` and `settings.json`. It needs NumPy and Pillow only.
What goes in and out is written in `model_repository/image_decoder/config.pbtxt`.
"""

from __future__ import annotations

import json
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import triton_python_backend_utils as pb_utils


def _load_beside(name: str) -> ModuleType:
    """A module of this folder, under a name of its own: two releases may live in one process."""
    path = Path(__file__).with_name(f"{name}.py")
    module = ModuleType(f"{name}@{path}")
    sys.modules[module.__name__] = module
    exec(compile(path.read_bytes(), path, "exec"), module.__dict__)
    return module


posters = _load_beside("posters")

MAX_THREADS = 4
"""Pillow decodes outside Python's lock, but an encoder behind it needs cores too."""


class TritonPythonModel:
    """Holds the size that the release's image encoder was trained on, and the threads that decode."""

    def initialize(self, args: dict[str, str]) -> None:
        """Read `settings.json`: {"image_size": pixels a side}."""
        settings = json.loads(Path(__file__).with_name("settings.json").read_text())
        self.image_size = int(settings["image_size"])
        self.threads = ThreadPoolExecutor(min(MAX_THREADS, os.cpu_count() or 1), "image_decoder")

    def execute(self, requests: list[Any]) -> list[Any]:
        """Decode the images of all requests side by side. A request with a broken image gets an error."""
        images = [pb_utils.get_input_tensor_by_name(request, "IMAGE").as_numpy().reshape(-1) for request in requests]
        decoded = list(self.threads.map(self._decode, [bytes(image) for part in images for image in part]))
        responses, start = [], 0
        for part in images:
            responses.append(_response(decoded[start : start + len(part)]))
            start += len(part)
        return responses

    def finalize(self) -> None:
        """Stop the threads."""
        self.threads.shutdown()

    def _decode(self, image: bytes) -> Any:
        try:
            return posters.pixels(image, self.image_size)
        except posters.UnreadableImage as error:
            return error


def _response(decoded: list[Any]) -> Any:
    for row, one in enumerate(decoded):
        if isinstance(one, Exception):
            return pb_utils.InferenceResponse(
                error=pb_utils.TritonError(f"IMAGE {row}: {one}", pb_utils.TritonError.INVALID_ARG)
            )
    return pb_utils.InferenceResponse([pb_utils.Tensor("pixels", np.stack(decoded))])
