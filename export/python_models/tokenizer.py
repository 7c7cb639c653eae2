"""Triton Python-backend model `tokenizer`: texts to the token ids that the text encoder reads.

Export writes it as `model.py` beside `tokenizer.json` and `text.py`. It needs NumPy and tokenizers only.
What goes in and out is written in `model_repository/tokenizer/config.pbtxt`.
"""

from __future__ import annotations

import json
import sys
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


text = _load_beside("text")


class TritonPythonModel:
    """Holds the release's tokenizer."""

    def initialize(self, args: dict[str, str]) -> None:
        """Read `tokenizer.json`; the rounding of lengths comes from config.pbtxt."""
        self.tokenizer = text.open_tokenizer(Path(__file__).with_name("tokenizer.json").read_bytes())
        parameters = json.loads(args["model_config"])["parameters"]
        self.pad_to_multiple_of = int(parameters["pad_to_multiple_of"]["string_value"])

    def execute(self, requests: list[Any]) -> list[Any]:
        """Tokenize the texts of all requests together; each response is as long as its own texts need."""
        texts = [_texts(request) for request in requests]
        good = [part for part in texts if not isinstance(part, pb_utils.TritonError)]
        input_ids, mask = text.tokenize(self.tokenizer, [one for part in good for one in part])
        bounds = np.cumsum([len(part) for part in good])[:-1]
        tokens = iter(zip(np.split(input_ids, bounds), np.split(mask, bounds), strict=True) if good else ())
        return [
            pb_utils.InferenceResponse(error=part)
            if isinstance(part, pb_utils.TritonError)
            else self._response(*next(tokens))
            for part in texts
        ]

    def _response(self, input_ids: Any, mask: Any) -> Any:
        longest, step = int(mask.sum(axis=1).max(initial=0)), self.pad_to_multiple_of
        length = min(-(-longest // step) * step, text.MAX_TOKENS)
        return pb_utils.InferenceResponse(
            [
                pb_utils.Tensor("input_ids", _of_length(input_ids, length, text.PADDING_ID)),
                pb_utils.Tensor("attention_mask", _of_length(mask, length, 0)),
            ]
        )


def _texts(request: Any) -> Any:
    """The texts of a request, or the TritonError that answers it."""
    rows = pb_utils.get_input_tensor_by_name(request, "TEXT").as_numpy().reshape(-1)
    texts = []
    for row, value in enumerate(rows):
        try:
            texts.append(bytes(value).decode())
        except UnicodeDecodeError as error:
            return pb_utils.TritonError(f"TEXT {row} is not UTF-8: {error}", pb_utils.TritonError.INVALID_ARG)
    return texts


def _of_length(matrix: Any, length: int, padding: int) -> Any:
    """(B, L) cut or padded on the right to (B, length)."""
    kept = matrix[:, :length]
    return np.pad(kept, ((0, 0), (0, length - kept.shape[1])), constant_values=padding)
