"""Closing servers so that a request which never ends fails the test that left it behind."""

from __future__ import annotations

from structlog.testing import capture_logs

from bento.inference.server import InferenceServer

CLOSES_WITHIN_S = 10.0
"""Far longer than the models of tests need to finish; only a request that never ends waits it out."""


async def close_with_nothing_left(*servers: InferenceServer) -> None:
    """Close servers. Raises: AssertionError when one closed although a model was still held."""
    with capture_logs() as said:
        for server in servers:
            await server.close()
    left = [entry for entry in said if "still in the works" in str(entry["event"])]
    assert not left, f"a model was never released, or its gate is still closed: {left}"
