"""Embeddings cached on disk by the hash of their input, so that a second export encodes only what changed.

One file per encoder, `<kind>-<encoder hash>.npy`: rows of (key, vector, checksum). A damaged
file or row is ignored and computed again.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

_HASH_DIGITS = 16


class VectorCache:
    """Vectors of one encoder by the bytes of their inputs.

    folder: created when missing. kind: what is encoded ("text", "poster"), in the file's name. encoder_hash: hex, of
    everything that decides what vector an input gets. width: D of the vectors.
    """

    def __init__(self, folder: Path, kind: str, encoder_hash: str, width: int) -> None:
        self.path = folder / f"{kind}-{encoder_hash[:_HASH_DIGITS]}.npy"
        self._row = np.dtype([("key", "V32"), ("vector", "<f4", (width,)), ("checksum", "<u4")])
        self._width = width
        self._vectors = self._read()

    def __len__(self) -> int:
        return len(self._vectors)

    def vectors(
        self, keys: Sequence[bytes], encode: Callable[[list[int]], npt.NDArray[np.float32]]
    ) -> npt.NDArray[np.float32]:
        """The vector of each input, (len(keys), D) float32; inputs that are not cached are encoded and stored.

        keys: sha256 of each input's bytes. encode: given the indexes of inputs to encode, returns their vectors in
        that order; called at most once, and with one index for inputs that are equal.
        """
        unknown = {key: index for index, key in enumerate(keys) if key not in self._vectors}
        if unknown:
            self._vectors.update(zip(unknown, encode(list(unknown.values())), strict=True))
            self._write()
        found = [self._vectors[key] for key in keys]
        return np.stack(found) if found else np.zeros((0, self._width), dtype=np.float32)

    def _read(self) -> dict[bytes, npt.NDArray[np.float32]]:
        try:
            rows = np.load(self.path, allow_pickle=False)
        except (OSError, ValueError, EOFError):  # not there, cut off, or no .npy file
            return {}
        if rows.dtype != self._row or rows.ndim != 1:
            return {}
        vectors = rows["vector"]
        return {
            key.tobytes(): vector
            for key, vector, checksum in zip(rows["key"], vectors, rows["checksum"], strict=True)
            if _checksum(key.tobytes(), vector) == checksum
        }

    def _write(self) -> None:
        rows = np.empty(len(self._vectors), dtype=self._row)
        rows["key"] = np.array(list(self._vectors), dtype="V32")
        rows["vector"] = list(self._vectors.values())
        rows["checksum"] = [_checksum(key, vector) for key, vector in self._vectors.items()]
        self.path.parent.mkdir(parents=True, exist_ok=True)
        partial = self.path.with_suffix(f".{os.getpid()}.unfinished")
        with partial.open("wb") as file:
            np.save(file, rows, allow_pickle=False)
        partial.replace(self.path)


def _checksum(key: bytes, vector: npt.NDArray[np.float32]) -> int:
    return zlib.crc32(np.ascontiguousarray(vector).tobytes(), zlib.crc32(key))
