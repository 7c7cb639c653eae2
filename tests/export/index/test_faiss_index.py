"""The fused vectors and their index."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import faiss
import numpy as np
import numpy.typing as npt
import pytest

from export.errors import VectorsRefused
from export.index.faiss_index import build_index, fused_vectors, write_index
from features.sources import SOURCE_WIDTHS


def centred_vectors() -> dict[str, npt.NDArray[np.float32]]:
    """Two films, each source's value at its own distance from 0."""
    return {
        source: np.array([[place], [-place]], np.float32).repeat(width, axis=1)
        for place, (source, width) in enumerate(SOURCE_WIDTHS.items(), start=1)
    }


def test_sources_lie_side_by_side_in_their_order() -> None:
    fused = fused_vectors(centred_vectors(), 2)
    assert fused.shape == (2, 385)
    assert fused[0, [0, 63, 64, 128, 192, 319, 320, 384]].tolist() == [1, 1, 2, 3, 4, 4, 5, 6]
    assert fused[1].tolist() == (-fused[0]).tolist()


@pytest.mark.parametrize(
    ("source", "vectors", "message"),
    [
        ("text", np.zeros((2, 64), np.float32), r"'text': shape \(2, 64\), not \(2, 128\)"),
        ("ials", np.full((2, 64), np.nan, np.float32), "'ials': NaN or an infinity"),
        ("sequence", np.ones((2, 64), np.float32), "'sequence': not centred: a column's mean is 1"),
    ],
)
def test_bad_vectors_are_refused(source: str, vectors: Any, message: str) -> None:
    with pytest.raises(VectorsRefused, match=message):
        fused_vectors(centred_vectors() | {source: vectors}, 2)


def test_a_missing_source_is_named() -> None:
    vectors = centred_vectors()
    del vectors["poster"]
    with pytest.raises(VectorsRefused, match="'poster': missing"):
        fused_vectors(vectors, 2)


def test_the_index_gives_back_rows_by_inner_product(tmp_path: Path) -> None:
    write_index(tmp_path, build_index("flat", np.array([[1, 0], [0, 2], [3, 3]], np.float32)))
    scores, rows = faiss.read_index(str(tmp_path / "items.index")).search(np.array([[1, 2]], np.float32), 3)
    assert rows.tolist() == [[2, 1, 0]]
    assert scores.tolist() == [[9, 4, 1]]
    assert {path.name for path in tmp_path.iterdir()} == {"items.index", "index.json"}
