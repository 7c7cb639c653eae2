"""Sealing of cached answers: a value that was cut, altered or written for another question is not accepted.

Layout, little-endian: magic, expiry (Unix seconds, float64), version of the person's state (uint64),
BLAKE2b digest (16 bytes) over all the rest and the question, then the answer. It protects from damage, not from
attackers: whoever can write to Redis can seal as well.
"""

from __future__ import annotations

import hashlib
import struct

MAGIC = b"MQ1"
HEADER = struct.Struct("<3sdQ")
DIGEST_BYTES = 16
OVERHEAD_BYTES = HEADER.size + DIGEST_BYTES


class BrokenSeal(ValueError):
    """A cached value is damaged; the answer must be computed again."""

    def __init__(self, n_bytes: int) -> None:
        super().__init__(f"{n_bytes} bytes are no sealed answer to this question")


def seal(answer: bytes, question: str, version: int, expires_at_s: float) -> bytes:
    """Wrap an answer for the cache."""
    header = HEADER.pack(MAGIC, expires_at_s, version)
    return b"".join((header, _digest(header, question, answer), answer))


def unseal(sealed: bytes, question: str, version: int, now_s: float) -> bytes | None:
    """The answer, or None when it has expired or was computed for another version of the person's state.

    Raises: BrokenSeal.
    """
    if len(sealed) < OVERHEAD_BYTES:
        raise BrokenSeal(len(sealed))
    header, digest, answer = sealed[: HEADER.size], sealed[HEADER.size : OVERHEAD_BYTES], sealed[OVERHEAD_BYTES:]
    if digest != _digest(header, question, answer):
        raise BrokenSeal(len(sealed))
    _, expires_at_s, state_version = HEADER.unpack(header)
    return answer if state_version == version and now_s < expires_at_s else None


def expiry_of(sealed: bytes) -> float:
    """When an undamaged sealed answer expires, in Unix seconds."""
    expires_at_s: float = HEADER.unpack_from(sealed)[1]
    return expires_at_s


def _digest(header: bytes, question: str, answer: bytes) -> bytes:
    digest = hashlib.blake2b(header, digest_size=DIGEST_BYTES, person=MAGIC)
    digest.update(question.encode())
    digest.update(b"\0")
    digest.update(answer)
    return digest.digest()
