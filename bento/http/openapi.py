"""The OpenAPI document of a table of routes, made from the same types that requests are read with."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any, get_args, get_origin

import msgspec

from bento.http.errors import HttpError
from bento.http.routing import Route

HEADER_SCHEMA = {"type": "string", "pattern": "^[!-~]{1,128}$"}
"""Of every request header that routes name: printable ASCII without spaces."""

BINARY = {"type": "string", "format": "binary"}

SECURITY_SCHEMES = {
    "token": {"type": "http", "scheme": "bearer", "description": "A token of POST /auth/login, or an API key."},
    "key": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
}


class ErrorDetail(msgspec.Struct):
    """What went wrong."""

    code: str
    message: str
    detail: dict[str, Any]


class ErrorBody(msgspec.Struct):
    """Every error."""

    success: bool
    error: ErrorDetail


def _no_role(method: str, path: str) -> None:
    return None


@dataclass(frozen=True, slots=True)
class Api:
    """What a document says beside its routes."""

    title: str
    description: str
    path_schemas: Mapping[str, dict[str, Any]]
    """What values in paths must be, by their name, where it is more than text."""
    root_path: str = ""
    """The prefix before every path."""
    role_of: Callable[[str, str], str | None] = _no_role
    """The role that a method and path ask for where authentication is on; None: everybody may."""


def document(routes: Iterable[Route], api: Api) -> dict[str, Any]:
    """The document; routes that say nothing `about` themselves are not in it."""
    told = [route for route in routes if route.about is not None]
    types = {kind for route in told if route.about for kind in route.about.types()} | {ErrorBody}
    ordered = sorted(types, key=str)
    _, components = msgspec.json.schema_components(ordered, ref_template="#/components/schemas/{name}")
    paths: dict[str, dict[str, Any]] = {}
    for route in told:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, api, components)
    servers = {"servers": [{"url": api.root_path}]} if api.root_path else {}
    return {
        "openapi": "3.1.0",
        "info": {"title": api.title, "version": _version(), "description": api.description},
        **servers,
        "paths": paths,
        "components": {"schemas": components, "securitySchemes": SECURITY_SCHEMES},
    }


def _operation(route: Route, api: Api, components: dict[str, Any]) -> dict[str, Any]:
    about = route.about
    assert about is not None, "filtered before"
    name = re.sub(r"\W+", "_", f"{route.method}{route.path}").strip("_").lower()
    operation: dict[str, Any] = {"summary": about.summary, "operationId": name, "tags": [about.tag]}
    parameters = [
        {"name": value, "in": "path", "required": True, "schema": api.path_schemas.get(value, {"type": "string"})}
        | ({"example": about.example[value]} if value in about.example else {})
        for value in re.findall(r"\{(\w+)\}", route.path)
    ]
    if about.query is not None:
        parameters += _query_parameters(components[about.query.__name__], about.example)
    parameters += [{"name": header, "in": "header", "schema": HEADER_SCHEMA} for header in about.headers]
    if parameters:
        operation["parameters"] = parameters
    if about.request is not None:
        in_path = set(re.findall(r"\{(\w+)\}", route.path))
        example = {name: value for name, value in about.example.items() if name not in in_path}
        content = {"schema": _reference(about.request), "example": example}
        operation["requestBody"] = {"required": True, "content": {about.request_type: content}}
    elif about.request_type != "application/json":
        operation["requestBody"] = {"required": True, "content": {about.request_type: {"schema": BINARY}}}
    answer = {kind: {"schema": BINARY} for kind in about.content_types}
    if about.answer is not None:
        answer = {"application/json": {"schema": _reference(about.answer)}}
    operation["responses"] = {str(about.status): {"description": about.summary, "content": answer}}
    role = api.role_of(route.method, route.path)
    refusals = () if role is None else (401, 403, 429)
    if role is not None:
        operation["security"] = [{}, {"token": []}, {"key": []}]
        operation["description"] = f"Where authentication is on, this needs the role {role}."
    for status in sorted({*about.errors, *refusals}):
        content = {"application/json": {"schema": _reference(ErrorBody)}}
        operation["responses"][str(status)] = {"description": _reason(status), "content": content}
    return operation


def _query_parameters(schema: dict[str, Any], example: dict[str, Any]) -> list[dict[str, Any]]:
    required = set(schema.get("required", ()))
    return [
        {"name": name, "in": "query", "required": name in required, "schema": kind}
        | ({"example": example[name]} if name in example else {})
        for name, kind in schema["properties"].items()
    ]


def _reference(kind: Any) -> dict[str, Any]:
    """The schema of a Struct, or of a list of one."""
    if get_origin(kind) is list:
        return {"type": "array", "items": _reference(*get_args(kind))}
    return {"$ref": f"#/components/schemas/{kind.__name__}"}


def _reason(status: int) -> str:
    """What the errors of a status have in common: the first sentences of their classes."""
    kinds: list[type[HttpError]] = [HttpError, *HttpError.__subclasses__()]
    return " / ".join((kind.__doc__ or "").split("\n")[0] for kind in kinds if kind.http_status == status)


def _version() -> str:
    try:
        return version("marquee")
    except PackageNotFoundError:  # in a built bento the code is not installed
        return "0.0.0+bento"
