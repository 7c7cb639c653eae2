"""`python -m bento.inference`: the inference server alone, started with tritonserver's flags."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
import uvloop

from bento.inference.core.errors import InferenceError
from bento.inference.core.options import ServerOptions
from bento.inference.protocol.front_end import DEFAULT_MAX_BODY_BYTES
from bento.inference.protocol.log_settings import LogSettings
from bento.inference.standalone import ListenOptions, configure_logging, serve

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


class ControlMode(StrEnum):
    """When models are loaded and unloaded."""

    NONE = "none"
    EXPLICIT = "explicit"
    POLL = "poll"


class Device(StrEnum):
    """Where models run."""

    AUTO = "auto"
    CPU = "cpu"
    CUDA = "cuda"


class Switch(StrEnum):
    """On or off."""

    ON = "on"
    OFF = "off"


class LogFormat(StrEnum):
    """Format of the time in log lines."""

    DEFAULT = "default"
    ISO8601 = "ISO8601"


def _boolean(text: str) -> bool:
    words = {"true": True, "1": True, "false": False, "0": False}
    if text.lower() not in words:
        raise typer.BadParameter(f"expected true or false, got {text!r}")
    return words[text.lower()]


def _switch(name: str, text: str) -> Any:
    """tritonserver's booleans take a value: --strict-readiness=false."""
    return typer.Option(name, parser=_boolean, metavar="BOOLEAN", help=text)


def _cache_bytes(config: str) -> int:
    """Size in "local,size=N", the only cache there is."""
    name, _, size = config.partition(",size=")
    if name != "local" or not size.isdecimal():
        raise typer.BadParameter(f"expected local,size=BYTES, got {config!r}")
    return int(size)


@app.command()
def main(
    model_repository: Annotated[
        list[Path],
        typer.Option("--model-repository", "--model-store", exists=True, file_okay=False,
                     help="Folder of models; may be given several times."),
    ],
    server_id: Annotated[str, typer.Option("--id", help="Name in the server metadata.")] = "triton",
    model_control_mode: Annotated[
        ControlMode,
        typer.Option(help="none: load everything once. explicit: load by request. poll: follow the folder."),
    ] = ControlMode.NONE,
    load_model: Annotated[
        list[str] | None, typer.Option(help="Explicit mode: load this model at start; * loads all.")
    ] = None,
    repository_poll_secs: Annotated[float, typer.Option(min=0.1, help="Poll mode: seconds between looks.")] = 15,
    exit_on_error: Annotated[Any, _switch("--exit-on-error", "Stop when a model fails to load at start.")] = "true",
    exit_timeout_secs: Annotated[float, typer.Option(min=0, help="How long to wait for requests at the end.")] = 30,
    strict_readiness: Annotated[Any, _switch("--strict-readiness", "Ready only when every model is.")] = "true",
    disable_auto_complete_config: Annotated[
        bool, typer.Option("--disable-auto-complete-config", help="Refuse models whose config.pbtxt is incomplete.")
    ] = False,
    trust_python_models: Annotated[
        bool,
        typer.Option("--trust-python-models",
                     help="Run the model.py of Python models: code from the repository, with this process's rights."),
    ] = False,
    device: Annotated[Device, typer.Option(help="Where models run; auto: on a GPU where there is one.")] = Device.AUTO,
    fast_path: Annotated[
        Switch, typer.Option(envvar="FAST_PATH", help="Shortcuts for repeated kinds of requests.")
    ] = Switch.ON,
    release: Annotated[
        int | None, typer.Option(help="Serve exactly this version of every model that has it.")
    ] = None,
    cache_config: Annotated[int, typer.Option(parser=_cache_bytes, metavar="local,size=BYTES",
                                              help="Response cache.")] = "local,size=0",  # type: ignore[assignment]
    allow_http: Annotated[Any, _switch("--allow-http", "Listen for HTTP.")] = "true",
    http_address: Annotated[str, typer.Option()] = "0.0.0.0",
    http_port: Annotated[int, typer.Option(min=0, max=65535)] = 8000,
    http_max_input_size: Annotated[
        int, typer.Option(min=1, help="Largest HTTP body in bytes, also when decompressed.")
    ] = DEFAULT_MAX_BODY_BYTES,
    allow_grpc: Annotated[Any, _switch("--allow-grpc", "Listen for gRPC.")] = "true",
    grpc_address: Annotated[str, typer.Option()] = "0.0.0.0",
    grpc_port: Annotated[int, typer.Option(min=0, max=65535)] = 8001,
    grpc_max_message_size: Annotated[
        int, typer.Option(min=1, max=2**31 - 1, help="Largest gRPC request in bytes.")
    ] = DEFAULT_MAX_BODY_BYTES,
    allow_metrics: Annotated[Any, _switch("--allow-metrics", "Serve Prometheus metrics.")] = "true",
    metrics_address: Annotated[str, typer.Option()] = "0.0.0.0",
    metrics_port: Annotated[int, typer.Option(min=0, max=65535)] = 8002,
    log_verbose: Annotated[int, typer.Option(min=0, help="Above 0: a line per request.")] = 0,
    log_info: Annotated[Any, _switch("--log-info", "Write informative lines.")] = "true",
    log_warning: Annotated[Any, _switch("--log-warning", "Write warnings.")] = "true",
    log_error: Annotated[Any, _switch("--log-error", "Write errors.")] = "true",
    log_format: Annotated[LogFormat, typer.Option()] = LogFormat.DEFAULT,
    log_file: Annotated[Path | None, typer.Option(help="Instead of stderr.")] = None,
) -> None:  # fmt: skip
    """Serve a model repository over the v2 inference protocol: HTTP, gRPC and Prometheus metrics."""
    log_settings = LogSettings(log_info, log_warning, log_error, log_verbose, log_format.value)
    configure_logging(log_settings, log_file)
    options = ServerOptions(
        repositories=tuple(model_repository),
        model_control_mode=model_control_mode.value,
        load_models=tuple(load_model or ()),
        repository_poll_secs=repository_poll_secs,
        exit_on_error=exit_on_error,
        strict_readiness=strict_readiness,
        strict_model_config=disable_auto_complete_config,
        trust_python_models=trust_python_models,
        release=release,
        device=device.value,
        fast_path=fast_path is Switch.ON,
        server_id=server_id,
        response_cache_bytes=cache_config,
        shutdown_timeout_s=exit_timeout_secs,
    )
    listen = ListenOptions(
        http_address=http_address,
        http_port=http_port if allow_http else None,
        grpc_address=grpc_address,
        grpc_port=grpc_port if allow_grpc else None,
        metrics_address=metrics_address,
        metrics_port=metrics_port if allow_metrics else None,
        http_max_input_bytes=http_max_input_size,
        grpc_max_message_bytes=grpc_max_message_size,
    )
    try:
        uvloop.run(serve(options, listen, log_settings))
    except (InferenceError, OSError, RuntimeError) as error:
        typer.secho(f"error: creating server: {error}", err=True, fg=typer.colors.RED)
        if "trust_python_models" in str(error):
            typer.echo("start with --trust-python-models if you trust the code in this repository", err=True)
        raise typer.Exit(1) from error


if __name__ == "__main__":
    app()
