"""The local response cache: answers of models with `response_cache { enable: true }`, bounded by bytes."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from dataclasses import dataclass

import numpy as np

from bento.inference.core.messages import InferRequest, Tensor

_ENTRY_OVERHEAD_BYTES = 256
"""What an entry costs beside its tensors: key, dictionaries, array headers."""


@dataclass(frozen=True, slots=True)
class CacheStatistics:
    """What the cache holds and did."""

    size_bytes: int
    used_bytes: int
    entries: int
    hits: int
    misses: int
    evictions: int


class ResponseCache:
    """Least recently used answers leave first. Used on the server's loop only."""

    def __init__(self, size_bytes: int) -> None:
        self._size_bytes = size_bytes
        self._used_bytes = 0
        self._entries: OrderedDict[bytes, tuple[dict[str, Tensor], int]] = OrderedDict()
        self._hits = self._misses = self._evictions = 0

    def get(self, key: bytes) -> dict[str, Tensor] | None:
        """The outputs stored under a key, as read-only arrays."""
        entry = self._entries.get(key)
        if entry is None:
            self._misses += 1
            return None
        self._hits += 1
        self._entries.move_to_end(key)
        return dict(entry[0])

    def put(self, key: bytes, outputs: dict[str, Tensor]) -> None:
        """Store a copy of the outputs; what is larger than the whole cache is not stored."""
        size = _ENTRY_OVERHEAD_BYTES + sum(_size(tensor) for tensor in outputs.values())
        if key in self._entries or size > self._size_bytes:
            return
        while self._used_bytes + size > self._size_bytes:
            _, (_, freed) = self._entries.popitem(last=False)
            self._used_bytes -= freed
            self._evictions += 1
        copies = {name: tensor.copy() for name, tensor in outputs.items()}
        for tensor in copies.values():
            tensor.flags.writeable = False
        self._entries[key] = (copies, size)
        self._used_bytes += size

    def forget(self, owner: bytes) -> None:
        """Drop the answers of one loaded model: it was replaced."""
        for key in [key for key in self._entries if key.startswith(owner)]:
            self._used_bytes -= self._entries.pop(key)[1]

    def statistics(self) -> CacheStatistics:
        """What the cache holds and did so far."""
        return CacheStatistics(
            self._size_bytes, self._used_bytes, len(self._entries), self._hits, self._misses, self._evictions
        )


def cache_key(owner: bytes, request: InferRequest) -> bytes:
    """Key of a request's inputs and requested outputs, beginning with `owner` (one loaded model)."""
    digest = hashlib.blake2b(digest_size=20)
    for name in sorted(request.inputs):
        tensor = request.inputs[name]
        digest.update(f"{name}\0{tensor.dtype.str}\0{tensor.shape}\0".encode())
        if tensor.dtype == np.object_:
            for element in tensor.ravel():
                digest.update(len(element).to_bytes(8, "little"))
                digest.update(element)
        else:
            digest.update(np.ascontiguousarray(tensor).tobytes())
    digest.update("\0".join(sorted(request.requested_outputs)).encode())
    return owner + digest.digest()


def _size(tensor: Tensor) -> int:
    if tensor.dtype == np.object_:
        return sum(len(element) + 64 for element in tensor.ravel())
    return tensor.nbytes
