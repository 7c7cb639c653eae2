"""Errors of the stores.

    StoreError
    └── StoreUnavailable   Redis is dead, hung or refusing; the caller goes on without it

Not an error of the service: whoever calls a store has a way on without it.
"""

from __future__ import annotations


class StoreError(Exception):
    """A store could not do what was asked."""


class StoreUnavailable(StoreError):
    """Nothing was read or written; the answer must do without."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"Redis is not available: {reason}")
        self.reason = reason
