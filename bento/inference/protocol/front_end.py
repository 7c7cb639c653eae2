"""What the HTTP and gRPC front ends share: state beside the models, and putting decoded requests to the server."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial

from bento.inference.core.errors import InvalidRequest
from bento.inference.core.messages import InferResponse, RequestTiming
from bento.inference.protocol.json_fields import whole_number
from bento.inference.protocol.json_header_cache import JsonHeaderCache
from bento.inference.protocol.log_settings import LogSettings
from bento.inference.protocol.output_delivery import DecodedRequest, with_classes
from bento.inference.protocol.shared_memory import SharedMemoryRegistry
from bento.inference.protocol.tensor_bytes import TensorMisfit
from bento.inference.protocol.trace_settings import TraceSettings
from bento.inference.server import InferenceServer

DEFAULT_MAX_BODY_BYTES = 64 << 20
"""Largest request body, compressed or not."""

TIMING_REQUEST_HEADER = "inference-timing"
"""A request that carries it gets the header (gRPC: trailing metadata) Server-Timing in its answer."""

_LARGEST_VERSION = 2**63 - 1


@dataclass(frozen=True, slots=True)
class FrontEndState:
    """State of the protocol extensions, one per server and common to its front ends."""

    regions: SharedMemoryRegistry = field(default_factory=SharedMemoryRegistry)
    log_settings: LogSettings = field(default_factory=LogSettings)
    trace_settings: TraceSettings = field(default_factory=TraceSettings)
    json_headers: JsonHeaderCache = field(default_factory=JsonHeaderCache)


async def answer(server: InferenceServer, decoded: DecodedRequest) -> InferResponse:
    """Put a decoded request to the server and classify what was asked for as classes. Raises: InferenceError."""
    refuse_misfit(server, decoded)
    response = await server.infer(decoded.request)
    return classified(server, decoded, response) if decoded.deliveries else response


def answer_now(server: InferenceServer, decoded: DecodedRequest) -> InferResponse | None:
    """As `answer`, where the model can answer immediately; None = `answer` is to be awaited. Raises: InferenceError."""
    if decoded.misfit is not None:
        return None
    response = server.infer_now(decoded.request)
    return classified(server, decoded, response) if decoded.deliveries and response is not None else response


def refuse_misfit(server: InferenceServer, decoded: DecodedRequest) -> None:
    """Stop a request with an input that does not fill its shape, after all checks that Triton makes before that one.

    Raises: InferenceError.
    """
    if decoded.misfit is not None:
        server.check_request(decoded.request)
        raise TensorMisfit(decoded.misfit)


def classified(server: InferenceServer, decoded: DecodedRequest, response: InferResponse) -> InferResponse:
    """The response, its outputs as classes where the request wants that. Raises: InvalidRequest."""
    if not decoded.wants_classes:
        return response
    name, version = response.model_name, response.model_version
    labels = partial(_labels, server, name, version)
    return with_classes(response, decoded, labels, server.model_config(name, version).max_batch_size > 0)


def _labels(server: InferenceServer, model: str, version: str, output: str) -> list[str] | None:
    return server.labels(model, output, version)


def checked_version(version: str) -> str:
    """The version in its plain form; "" stays "". Raises: InvalidRequest when it is not a number from 0."""
    if not version:
        return ""
    number = whole_number(version)
    if number is None or abs(number) > _LARGEST_VERSION:
        raise InvalidRequest(
            f"failed to get model version from specified version string '{version}' (details: stol), version should be "
            "an integral value > 0"
        )
    if number < 0:
        raise InvalidRequest(f"invalid model version specified '{version}' , version should be an integral value > 0")
    return str(number)


def server_timing(timing: RequestTiming) -> str:
    """The Server-Timing header of an answer; durations in milliseconds."""
    parts = {
        "queue": timing.queue_ns,
        "compute_input": timing.compute_input_ns,
        "compute_infer": timing.compute_infer_ns,
        "compute_output": timing.compute_output_ns,
    }
    return ", ".join(f"{name};dur={ns / 1e6:.3f}" for name, ns in parts.items())
