"""The inference server, as the recommender sees it."""

from __future__ import annotations

from typing import Protocol

from bento.inference.core.messages import InferRequest, InferResponse


class Inference(Protocol):
    """What the recommender needs of the inference server."""

    async def infer(self, request: InferRequest) -> InferResponse:
        """Answer one request. Raises: InferenceError."""
