"""Reading the members of a request's JSON with tritonserver's complaints about what is missing or of the wrong kind."""

from __future__ import annotations

import json
import re
from codecs import BOM_UTF8
from typing import Any

import orjson

from bento.inference.protocol.json_tensors import MalformedJson, wrong_kind
from bento.inference.protocol.tensor_bytes import Buffer

JsonObject = dict[str, Any]

_LARGEST_UNSIGNED = 2**64 - 1
_WHOLE_NUMBER = re.compile(r"[+-]?\d{1,40}", re.ASCII)


def parse_json(body: Buffer) -> Any:
    """The JSON value in `body`, behind a byte-order mark too; NaN and infinities are allowed.

    Raises: MalformedJson, also when it is nested too deeply.
    """
    if not len(body):
        raise MalformedJson("failed to parse the request JSON buffer: The document is empty. at 0")
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        if bytes(body[: len(BOM_UTF8)]) == BOM_UTF8:
            return parse_json(body[len(BOM_UTF8) :])
        if b"NaN" in bytes(body) or b"Infinity" in bytes(body):
            return _parse_with_nan(body)
        raise MalformedJson(f"failed to parse the request JSON buffer: {error.msg}. at {error.pos}") from error


def _parse_with_nan(body: Buffer) -> Any:
    try:
        return json.loads(bytes(body))
    except json.JSONDecodeError as error:
        raise MalformedJson(f"failed to parse the request JSON buffer: {error.msg}. at {error.pos}") from error
    except (ValueError, RecursionError) as error:  # no UTF-8, a number of thousands of digits, or nested too deeply
        raise MalformedJson(f"failed to parse the request JSON buffer: {error}") from error


def parse_json_object(body: Buffer) -> JsonObject:
    """The JSON object in `body`; an empty body is an empty object. Raises: MalformedJson."""
    value = parse_json(body) if len(body) else {}
    if type(value) is not dict:
        raise MalformedJson("attempt to access JSON non-object as object")
    return value


def without_nulls(members: JsonObject) -> JsonObject:
    """The members that have a value: clients of many languages write null where they have nothing to say."""
    if None not in members.values():
        return members
    return {name: value for name, value in members.items() if value is not None}


def whole_number(text: str) -> int | None:
    """The whole number that a text says; None when it is not one, or has more than 40 digits."""
    return int(text) if _WHOLE_NUMBER.fullmatch(text.strip()) else None


def required(parent: Any, name: str) -> Any:
    """A member that must be there. Raises: MalformedJson."""
    try:
        return parent[name]
    except (KeyError, TypeError, IndexError) as error:
        text = f"Unable to parse '{name}': attempt to access non-existing object member '{name}'"
        raise MalformedJson(text) from error


def as_string(value: Any, label: str) -> str:
    """`value` if it is a string. Raises: MalformedJson."""
    if type(value) is not str:
        raise wrong_kind("string", label)
    return value


def as_array(value: Any, label: str) -> list[Any]:
    """`value` if it is an array. Raises: MalformedJson."""
    if type(value) is not list:
        raise wrong_kind("array", label)
    return value


def as_bool(value: Any, label: str) -> bool:
    """`value` if it is a boolean. Raises: MalformedJson."""
    if type(value) is not bool:
        raise wrong_kind("boolean", label)
    return value


def as_unsigned(value: Any, label: str) -> int:
    """`value` if it is an integer from 0 to 2^64 - 1. Raises: MalformedJson."""
    if type(value) is not int or not 0 <= value <= _LARGEST_UNSIGNED:
        raise wrong_kind("unsigned-integer", label)
    return value
