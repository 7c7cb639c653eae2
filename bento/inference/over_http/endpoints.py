"""Every HTTP endpoint of the v2 protocol but infer: health, metadata, configuration, statistics, model control,
shared memory, logging and trace settings."""

from __future__ import annotations

import base64
import binascii

from bento.inference.core.errors import InvalidRequest, Unsupported
from bento.inference.core.model_config_json import model_config_json
from bento.inference.over_http.call import TEXT, HttpCall, Reply
from bento.inference.protocol.front_end import checked_version
from bento.inference.protocol.json_fields import as_array, as_bool, as_string, as_unsigned, without_nulls
from bento.inference.protocol.json_tensors import MalformedJson
from bento.inference.protocol.log_settings import Setting
from bento.inference.protocol.shared_memory import UnknownRegion


async def server_metadata(call: HttpCall) -> Reply:
    """GET /v2."""
    return Reply.of_json(call.server.server_metadata())


async def health(call: HttpCall) -> Reply:
    """GET /v2/health/live and /v2/health/ready."""
    healthy = call.path_fields["kind"] == "live" or call.server.is_ready()
    return Reply(b"", 200 if healthy else 400, TEXT)


async def model_metadata(call: HttpCall) -> Reply:
    """GET /v2/models/M[/versions/V]."""
    return Reply.of_json(call.server.model_metadata(*_model(call)))


async def model_ready(call: HttpCall) -> Reply:
    """GET /v2/models/M[/versions/V]/ready."""
    if call.server.is_model_ready(*_model(call)):
        return Reply(b"", 200, TEXT)
    return Reply.of_error("Model version not ready", 400)


async def model_config(call: HttpCall) -> Reply:
    """GET /v2/models/M[/versions/V]/config."""
    return Reply.of_json(model_config_json(call.server.model_config(*_model(call))))


async def model_statistics(call: HttpCall) -> Reply:
    """GET /v2/models[/M[/versions/V]]/stats."""
    return Reply.of_json({"model_stats": call.server.model_statistics(*_model(call))})


async def repository_index(call: HttpCall) -> Reply:
    """POST /v2/repository/index."""
    asked = without_nulls(await call.json_object())
    ready_only = as_bool(asked.get("ready", False), "ready")
    return Reply.of_json(call.server.repository_index(ready_only))


async def repository_control(call: HttpCall) -> Reply:
    """POST /v2/repository/models/M/load and …/unload."""
    if call.path_fields["repository"]:
        raise Unsupported("'repository_name' specification is not supported")
    asked = without_nulls(await call.json_object())
    parameters = asked.get("parameters", {})
    if type(parameters) is not dict:
        raise MalformedJson("attempt to get members for non-object")
    parameters = without_nulls(parameters)
    model = call.path_fields["model"]
    if call.path_fields["action"] == "unload":
        unload_dependents = as_bool(parameters.get("unload_dependents", False), "unload_dependents")
        await call.server.unload_model(model, unload_dependents)
    else:
        config, files = None, {}
        for name, value in parameters.items():
            if name == "config":
                config = as_string(value, name)
            elif name.startswith("file:"):
                files[name.removeprefix("file:")] = _decode_base64(as_string(value, name), name)
            else:
                raise InvalidRequest(f"unrecognized load parameter '{name}'.")
        await call.server.load_model(model, config, files or None)
    return Reply()


async def system_shared_memory(call: HttpCall) -> Reply:
    """GET /v2/systemsharedmemory[/region/R]/status, POST …/register, POST …/unregister."""
    regions, region, action = call.state.regions, call.path_fields["region"], call.path_fields["action"]
    if action == "status":
        return Reply.of_json(regions.status(region))
    if action == "unregister":
        await regions.release(region)
        return Reply()
    if not region:
        raise InvalidRequest("'region name' is necessary to register system shared memory region")
    asked = without_nulls(await call.json_object())
    for name in ("key", "byte_size"):
        if name not in asked:
            raise InvalidRequest(f"Shared memory register request has no '{name}' field")
    regions.register(
        region,
        as_string(asked["key"], "key"),
        as_unsigned(asked.get("offset", 0), "offset"),
        as_unsigned(asked["byte_size"], "byte_size"),
    )
    return Reply()


async def cuda_shared_memory(call: HttpCall) -> Reply:
    """The same for CUDA memory, which this server does not map: the status is empty, registering fails."""
    region, action = call.path_fields["region"], call.path_fields["action"]
    if action == "register":
        if not region:
            raise InvalidRequest("'region name' is necessary to register cuda shared memory region")
        raise InvalidRequest(f"failed to register CUDA shared memory region: '{region}', GPUs not supported")
    if action == "status":
        if region:
            raise UnknownRegion(f"Unable to find cuda shared memory region: '{region}'")
        return Reply.of_json([])
    return Reply()


async def logging_settings(call: HttpCall) -> Reply:
    """GET and POST /v2/logging."""
    if call.method == "POST":
        changes: dict[str, Setting] = {}
        for name, value in (await call.json_object()).items():
            if value is None:
                continue
            if name == "log_verbose_level":
                changes[name] = as_unsigned(value, name)
            elif name in ("log_file", "log_format"):
                changes[name] = as_string(value, name)
            elif name in ("log_info", "log_warning", "log_error"):
                changes[name] = as_bool(value, name)
        call.state.log_settings.update(changes)
    return Reply.of_json(call.state.log_settings.to_json())


async def trace_settings(call: HttpCall) -> Reply:
    """GET and POST /v2[/models/M]/trace/setting."""
    model = call.path_fields.get("model", "")
    if model and not call.server.is_model_ready(model):
        raise InvalidRequest(f"Request for unknown model : {model}")
    if call.method == "POST":
        changes: dict[str, list[str] | None] = {}
        for name, value in (await call.json_object()).items():
            if value is None:
                changes[name] = None
            elif name == "trace_level":
                changes[name] = [as_string(level, name) for level in as_array(value, name)]
            else:
                changes[name] = [as_string(value, name)]
        call.state.trace_settings.update(model, changes)
    return Reply.of_json(call.state.trace_settings.to_json(model))


def _model(call: HttpCall) -> tuple[str, str]:
    return call.path_fields.get("model", ""), checked_version(call.path_fields.get("version", ""))


def _decode_base64(text: str, name: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise InvalidRequest(f"load parameter '{name}' is not valid base64: {error}") from error
