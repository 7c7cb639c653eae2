"""Errors of the stores.

    StoreError
    └── StoreUnavailable   Redis is dead, hangs or refuses

They never reach a client: every caller of a store can go on without it.
"""

from __future__ import annotations


class StoreError(Exception):
    """A store failed."""


class StoreUnavailable(StoreError):
    """Nothing was read or written; the caller goes on without it."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"Redis is not available: {reason}")
        self.reason = reason
