"""Tests of the cache of vectors: only what changed is encoded, damage is forgotten, nothing is half written."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest

from training.content.cache import VectorCache

ENCODER = "0123456789abcdef" * 4


class CountingEncoder:
    """Encodes a text to (its length, its first letter's code), and remembers what it was asked for."""

    def __init__(self, texts: list[str]) -> None:
        self.texts = texts
        self.asked: list[str] = []

    def __call__(self, indexes: list[int]) -> np.ndarray:
        wanted = [self.texts[index] for index in indexes]
        self.asked += wanted
        return np.array([[len(text), ord(text[0])] for text in wanted], dtype=np.float32)


def read(folder: Path, texts: list[str], encoder_hash: str = ENCODER) -> tuple[np.ndarray, list[str]]:
    """Vectors through a newly opened cache, and which texts had to be encoded."""
    encoder = CountingEncoder(texts)
    keys = [hashlib.sha256(text.encode()).digest() for text in texts]
    vectors = VectorCache(folder, "text", encoder_hash, 2).vectors(keys, encoder)
    return vectors, encoder.asked


def only_file(folder: Path) -> Path:
    (file,) = folder.iterdir()
    return file


def test_vectors_come_in_the_order_of_the_keys(tmp_path: Path) -> None:
    vectors, _ = read(tmp_path, ["bb", "a", "ccc"])
    assert vectors.tolist() == [[2, 98], [1, 97], [3, 99]]
    assert vectors.dtype == np.float32


def test_second_run_encodes_nothing(tmp_path: Path) -> None:
    first, _ = read(tmp_path, ["a", "bb"])
    second, asked = read(tmp_path, ["a", "bb"])
    assert asked == []
    assert second.tolist() == first.tolist()


def test_only_what_changed_is_encoded(tmp_path: Path) -> None:
    read(tmp_path, ["a", "bb", "ccc"])
    vectors, asked = read(tmp_path, ["ccc", "dddd", "a"])
    assert asked == ["dddd"]
    assert vectors.tolist() == [[3, 99], [4, 100], [1, 97]]


def test_equal_inputs_are_encoded_once(tmp_path: Path) -> None:
    vectors, asked = read(tmp_path, ["a", "a", "a"])
    assert asked == ["a"]
    assert vectors.tolist() == [[1, 97]] * 3


def test_another_encoder_shares_nothing(tmp_path: Path) -> None:
    read(tmp_path, ["a"])
    _, asked = read(tmp_path, ["a"], encoder_hash="f" * 64)
    assert asked == ["a"]


def test_no_inputs_give_no_rows_and_no_file(tmp_path: Path) -> None:
    vectors, asked = read(tmp_path / "cache", [])
    assert vectors.shape == (0, 2)
    assert asked == []
    assert not (tmp_path / "cache").exists()


def test_row_with_a_flipped_bit_is_encoded_again(tmp_path: Path) -> None:
    good, _ = read(tmp_path, ["a", "bb"])
    stored = bytearray(only_file(tmp_path).read_bytes())
    stored[-6] ^= 1  # last row: 32 bytes of key, 8 of vector, 4 of checksum; this is its vector
    only_file(tmp_path).write_bytes(stored)
    vectors, asked = read(tmp_path, ["a", "bb"])
    assert asked == ["bb"]
    assert vectors.tolist() == good.tolist()


@pytest.mark.parametrize("damage", ["cut", "empty", "text"])
def test_damaged_file_is_encoded_again_and_mended(damage: str, tmp_path: Path) -> None:
    good, _ = read(tmp_path, ["a", "bb"])
    file = only_file(tmp_path)
    stored = file.read_bytes()
    file.write_bytes({"cut": stored[:-10], "empty": b"", "text": b"no vectors here"}[damage])
    vectors, asked = read(tmp_path, ["a", "bb"])
    assert asked == ["a", "bb"]
    assert vectors.tolist() == good.tolist()
    assert read(tmp_path, ["a", "bb"])[1] == []


def test_pickled_array_is_never_opened(tmp_path: Path) -> None:
    read(tmp_path, ["a"])
    np.save(only_file(tmp_path), np.array([{"a": 1}], dtype=object), allow_pickle=True)
    assert read(tmp_path, ["a"])[1] == ["a"]


def test_failure_while_encoding_leaves_the_known_vectors(tmp_path: Path) -> None:
    read(tmp_path, ["a"])

    def fail(indexes: list[int]) -> np.ndarray:
        raise RuntimeError("out of memory")

    keys = [hashlib.sha256(text).digest() for text in (b"a", b"b")]
    with pytest.raises(RuntimeError, match="out of memory"):
        VectorCache(tmp_path, "text", ENCODER, 2).vectors(keys, fail)
    assert read(tmp_path, ["a"])[1] == []


def test_nothing_unfinished_is_left_behind(tmp_path: Path) -> None:
    read(tmp_path, ["a"])
    read(tmp_path, ["b"])
    assert only_file(tmp_path).suffix == ".npy"
