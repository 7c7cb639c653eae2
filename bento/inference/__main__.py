"""`python -m bento.inference`: the inference server alone, started with tritonserver's flags."""

from __future__ import annotations

import re
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import grpc
import typer
import uvloop

from bento.inference.core.errors import InferenceError
from bento.inference.core.options import ServerOptions
from bento.inference.protocol.front_end import DEFAULT_MAX_BODY_BYTES
from bento.inference.protocol.header_rules import ForwardedHeaders, parse_restrictions
from bento.inference.protocol.log_settings import LogSettings
from bento.inference.refused_flags import TritonCommand
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


def _pattern(text: str) -> Any:
    """Names of headers."""

    def parsed(pattern: str) -> ForwardedHeaders:
        try:
            return ForwardedHeaders(pattern)
        except re.error as error:
            raise typer.BadParameter(f"{pattern!r} is no regular expression: {error}") from error

    return typer.Option(parser=parsed, metavar="REGEX", help=text)


def _restrictions(text: str) -> Any:
    """What is restricted, checked here and read as a whole later."""

    def checked(flags: list[str] | None) -> list[str] | None:
        try:
            parse_restrictions(flags or ())
        except ValueError as error:
            raise typer.BadParameter(str(error)) from error
        return flags

    return typer.Option(callback=checked, metavar="API[,API]:HEADER=VALUE", help=text)


def _credentials(mutual: bool, cert: Path | None, key: Path | None, root: Path | None) -> grpc.ServerCredentials:
    """What gRPC encrypts with; `mutual`: clients show a certificate that `root` signed. Raises: BadParameter."""
    files = {"--grpc-server-key": key, "--grpc-server-cert": cert}
    if mutual:
        files["--grpc-root-cert"] = root
    read: dict[str, bytes] = {}
    for flag, path in files.items():
        if path is None:
            raise typer.BadParameter(f"TLS for gRPC needs {flag}=FILE")
        try:
            read[flag] = path.read_bytes()
        except OSError as error:
            raise typer.BadParameter(f"{flag}={path}: {error.strerror}") from error
    pair = read["--grpc-server-key"], read["--grpc-server-cert"]
    return grpc.ssl_server_credentials([pair], read.get("--grpc-root-cert"), require_client_auth=mutual)


@app.command(cls=TritonCommand)
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
    drain_secs: Annotated[
        float, typer.Option(min=0, envvar="DRAIN_S", help="Of these, how long to take requests still, while not ready.")
    ] = 3,
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
    http_restricted_api: Annotated[
        list[str] | None, _restrictions("HTTP: ask for this header before these APIs; may be given several times.")
    ] = None,
    allow_grpc: Annotated[Any, _switch("--allow-grpc", "Listen for gRPC.")] = "true",
    grpc_address: Annotated[str, typer.Option()] = "0.0.0.0",
    grpc_port: Annotated[int, typer.Option(min=0, max=65535)] = 8001,
    grpc_max_message_size: Annotated[
        int, typer.Option(min=1, max=2**31 - 1, help="Largest gRPC request in bytes.")
    ] = DEFAULT_MAX_BODY_BYTES,
    http_header_forward_pattern: Annotated[
        ForwardedHeaders | None, _pattern("HTTP headers that infer requests carry to the model as parameters.")
    ] = None,
    grpc_header_forward_pattern: Annotated[
        ForwardedHeaders | None, _pattern("gRPC metadata that infer requests carry to the model as parameters.")
    ] = None,
    grpc_restricted_protocol: Annotated[
        list[str] | None,
        _restrictions("gRPC: ask for triton-grpc-protocol-HEADER before these APIs; may be given several times."),
    ] = None,
    grpc_use_ssl: Annotated[Any, _switch("--grpc-use-ssl", "Encrypt gRPC.")] = "false",
    grpc_use_ssl_mutual: Annotated[
        Any, _switch("--grpc-use-ssl-mutual", "Encrypt gRPC, for clients with a certificate only.")
    ] = "false",
    grpc_server_cert: Annotated[Path | None, typer.Option(help="PEM file of the server's certificate.")] = None,
    grpc_server_key: Annotated[Path | None, typer.Option(help="PEM file of its key.")] = None,
    grpc_root_cert: Annotated[
        Path | None, typer.Option(help="PEM file of the certificate that signed those of the clients.")
    ] = None,
    allow_client_shm: Annotated[
        Any, _switch("--allow-client-shm", "Let clients register shared memory.")
    ] = "true",
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
    credentials = None
    if grpc_use_ssl or grpc_use_ssl_mutual:
        credentials = _credentials(grpc_use_ssl_mutual, grpc_server_cert, grpc_server_key, grpc_root_cert)
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
        http_restrictions=parse_restrictions(http_restricted_api or ()),
        http_forwarded_headers=http_header_forward_pattern,
        grpc_forwarded_headers=grpc_header_forward_pattern,
        grpc_credentials=credentials,
        client_shared_memory=allow_client_shm,
        drain_s=drain_secs,
        grpc_restrictions=parse_restrictions(grpc_restricted_protocol or ()),
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
