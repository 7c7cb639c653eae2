"""The interface of a loaded model version: a model or an ensemble."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Protocol

from tritonclient.grpc.model_config_pb2 import ModelConfig

from bento.inference.core.calls import Lease
from bento.inference.core.messages import InferRequest, InferResponse
from bento.inference.models.prepared_requests import PreparedRequests, WireForm
from bento.inference.models.statistics import ModelStatistics


class ServedModel(Protocol):
    """One loaded version of a model."""

    name: str
    version: str
    config: ModelConfig
    """Complete, defaults filled in."""
    statistics: ModelStatistics
    labels: dict[str, list[str]]
    """Class labels by output."""
    is_decoupled: bool
    prepared_requests: PreparedRequests
    """Repeated kinds of requests that are answered from bound memory."""
    lease: Lease
    """Held by every request in progress; `close` waits for them."""

    def check(self, request: InferRequest) -> int:
        """Rows of the request. Raises: InvalidRequest when it does not fit the model."""

    def infer_now(self, request: InferRequest) -> InferResponse | None:
        """The answer where it can be given immediately, else None: `infer` is to be awaited. Raises: InferenceError."""

    def prepare_request(self, request: InferRequest, response: InferResponse, wire: WireForm) -> None:
        """Prepare for more requests of the kind that `infer_now` just answered, where that is possible."""

    async def infer(self, request: InferRequest) -> InferResponse:
        """Answer a request. Raises: InferenceError."""

    def stream(self, request: InferRequest) -> AsyncIterator[InferResponse]:
        """Responses as they come. Raises: InferenceError."""

    @property
    def device(self) -> str:
        """Where it runs: "cpu", "cuda:0", or several joined by commas."""

    @property
    def waiting_count(self) -> int:
        """Requests that wait for execution."""

    async def close(self) -> None:
        """Finish what was accepted, then free everything."""
