"""The tokenizer model: the same tokens as training's, for all waiting requests at once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from features.text import MAX_TOKENS, open_tokenizer, tokenize
from tests.export.tiny_world import tokenizer_json

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def model(load_python_model: Callable[..., Any]) -> Any:
    return load_python_model("tokenizer", [ROOT / "features" / "text.py"], {"tokenizer.json": tokenizer_json()})


def texts(*values: bytes) -> dict[str, npt.NDArray[Any]]:
    return {"TEXT": np.array([[value] for value in values], dtype=object)}


def test_tokens_are_padded_to_a_multiple_of_sixteen(model: Any) -> None:
    (answer,) = model.infer(texts(b"a b", b"c"))
    assert answer["input_ids"].tolist() == [[1, 3, 4, 2] + [0] * 12, [1, 5, 2] + [0] * 13]
    assert answer["attention_mask"].tolist() == [[1] * 4 + [0] * 12, [1] * 3 + [0] * 13]
    assert answer["input_ids"].dtype == answer["attention_mask"].dtype == np.int64


def test_each_request_is_as_long_as_its_own_texts(model: Any) -> None:
    short, long = model.infer(texts(b"a"), texts(b"a " * 20))
    assert short["input_ids"].shape == (1, 16)
    assert long["input_ids"].shape == (1, 32)


def test_tokens_are_those_of_training(model: Any) -> None:
    written = ["a b c", "", "unknown d", "e " * 400]
    input_ids, mask = tokenize(open_tokenizer(tokenizer_json()), written)
    (answer,) = model.infer(texts(*[text.encode() for text in written]))
    assert answer["input_ids"].shape == (4, MAX_TOKENS)
    np.testing.assert_array_equal(answer["input_ids"], input_ids)
    np.testing.assert_array_equal(answer["attention_mask"], mask)


def test_a_text_that_is_not_utf8_fails_alone(model: Any, pb_utils: Any) -> None:
    first, error, last = model.infer(texts(b"a"), texts(b"a", b"\xff\xfe"), texts(b"b"))
    assert "TEXT 1 is not UTF-8" in error.message()
    assert error.code() == pb_utils.TritonError.INVALID_ARG
    assert first["input_ids"][0, 1] == 3
    assert last["input_ids"][0, 1] == 4


def test_only_bad_requests_give_only_errors(model: Any) -> None:
    (error,) = model.infer(texts(b"\xff"))
    assert "TEXT 0 is not UTF-8" in error.message()
