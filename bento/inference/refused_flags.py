"""Flags of tritonserver that start scripts have and this server does not honour: refused by name, with the reason.

A flag that is taken and ignored would leave its writer believing in a limit or a trace that is not there.
"""

from __future__ import annotations

from typing import Any

import typer
from typer.core import TyperCommand

_ONE_LOOP = "requests are read by one event loop, and models run in as many threads as their instance groups say"
_NO_TRACES = "traces are not written; Inference-Timing: 1 in a request asks for its times"
_PER_MODEL = "settings of a backend stand in each model's config.pbtxt"
_NO_POOLS = "memory is not pooled by the server"
_NO_OTHER_CLOUD = "that front end does not exist here"
_GRPC_DEFAULTS = "gRPC's own defaults hold"

REFUSED = {
    **dict.fromkeys(
        ("--http-thread-count", "--grpc-infer-thread-count", "--grpc-infer-allocation-pool-size",
         "--grpc-max-response-pool-size", "--buffer-manager-thread-count", "--model-load-thread-count"), _ONE_LOOP,
    ),
    **dict.fromkeys(
        ("--trace-config", "--trace-file", "--trace-level", "--trace-rate", "--trace-count", "--trace-log-frequency"),
        _NO_TRACES,
    ),
    **dict.fromkeys(("--reuse-http-port", "--reuse-grpc-port"), "every server listens on ports of its own"),
    **dict.fromkeys(("--backend-config", "--backend-directory", "--repoagent-directory"), _PER_MODEL),
    **dict.fromkeys(
        ("--grpc-infer-response-compression-level", "--grpc-keepalive-time", "--grpc-keepalive-timeout",
         "--grpc-keepalive-permit-without-calls", "--grpc-http2-max-pings-without-data",
         "--grpc-http2-min-recv-ping-interval-without-data", "--grpc-http2-max-ping-strikes",
         "--grpc-max-connection-age", "--grpc-max-connection-age-grace"), _GRPC_DEFAULTS,
    ),
    **dict.fromkeys(
        ("--pinned-memory-pool-byte-size", "--cuda-memory-pool-byte-size", "--cuda-virtual-address-size",
         "--model-load-gpu-limit", "--enable-peer-access"), _NO_POOLS,
    ),
    **dict.fromkeys(
        ("--allow-sagemaker", "--sagemaker-port", "--sagemaker-safe-port-range", "--sagemaker-thread-count",
         "--allow-vertex-ai", "--vertex-ai-port", "--vertex-ai-thread-count", "--vertex-ai-default-model"),
        _NO_OTHER_CLOUD,
    ),
    **dict.fromkeys(("--rate-limit", "--rate-limit-resource"), "instances are not limited by resources"),
    **dict.fromkeys(
        ("--allow-gpu-metrics", "--allow-cpu-metrics", "--metrics-interval-ms", "--metrics-config"),
        "metrics are computed when they are asked for; those of the machine are left to its exporters",
    ),
    "--host-policy": "cores and memory nodes are the operating system's (taskset, numactl)",
    "--min-supported-compute-capability": "a GPU is used where onnxruntime or torch can use it",
    "--cache-directory": "the local cache is built in: --cache-config=local,size=BYTES",
    "--response-cache-byte-size": "write --cache-config=local,size=BYTES",
    "--strict-model-config": "write --disable-auto-complete-config",
    "--model-config-name": "a model has one configuration, config.pbtxt",
    "--model-load-retry-count": "a model that fails is loaded again by request, or when its folder changes",
    "--model-namespacing": "a model found in two repositories is served from neither",
}  # fmt: skip
"""Flag → why."""


class TritonCommand(TyperCommand):
    """A command line that names what it cannot honour."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """As usual. Raises: BadParameter for a flag that is refused."""
        for argument in args:
            flag = argument.partition("=")[0]
            if flag in REFUSED:
                raise typer.BadParameter(f"{flag} is not honoured by this server: {REFUSED[flag]}. Leave it out.", ctx)
        return super().parse_args(ctx, args)
