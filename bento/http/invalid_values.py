"""What msgspec finds wrong with a request, in plain words: field, value, limit, remedy."""

from __future__ import annotations

import difflib
import re
from typing import Any, Literal, get_args, get_origin, get_type_hints

import msgspec

from bento.http.errors import InvalidRequest

_PLACE = re.compile(r" - at `(?P<place>[^`]*)`$")
_UNKNOWN_FIELD = re.compile(r"unknown field (?P<name>.+)$")
_GOT_TYPE = re.compile(r", got \w+$")


def refusal(error: msgspec.ValidationError, values: Any, kind: Any) -> InvalidRequest:
    """msgspec's "Expected `int` <= 1000 - at `$.top_k`" with the value that stands there.

    values: the request as it was sent, None where it cannot be read. kind: the type it should be.
    """
    message = str(error)
    match = _PLACE.search(message)
    place = match["place"].removeprefix("$").removeprefix(".") if match else ""
    why = (message[: match.start()] if match else message).replace("`", "")
    why = why[0].lower() + why[1:]
    if not place:
        return InvalidRequest("request", why + _meant(why, kind))
    value = _value_at(values, place)
    if value is not None:
        why = _GOT_TYPE.sub("", why)  # the value says it
    if why.startswith("invalid enum value"):
        why = f"expected one of {', '.join(_choices(kind, place))}"
    if place.endswith("timestamp"):
        why += " (Unix seconds)"  # who sends milliseconds is beyond the bound
    return InvalidRequest(place, why, value)


def _meant(why: str, kind: Any) -> str:
    """The field that an unknown one may stand for, else all there are."""
    unknown = _UNKNOWN_FIELD.search(why)
    fields = getattr(kind, "__struct_fields__", ())
    if unknown is None or not fields:
        return ""
    like = difflib.get_close_matches(unknown["name"], fields, 1)
    return f", did you mean {like[0]}?" if like else f", expected fields among {', '.join(fields)}"


def _choices(kind: Any, place: str) -> list[str]:
    """Words that the field at a place may hold, where it is a field of the request itself."""
    hints = get_type_hints(kind, include_extras=True) if hasattr(kind, "__struct_fields__") else {}
    return _literals(hints.get(place)) or ["those that /docs lists"]


def _literals(hint: Any) -> list[str]:
    if get_origin(hint) is Literal:
        return [str(word) for word in get_args(hint)]
    return [word for part in get_args(hint) for word in _literals(part)]


def _value_at(values: Any, place: str) -> Any:
    """The value at msgspec's notation of a place, `history[3].rating`; `weights[...]` is somewhere in an object, which
    is shown whole. None where it cannot be told."""
    for name, index in re.findall(r"([^.\[\]]+)|\[(\d*|\.\.\.)\]", place):
        try:
            if index == "...":
                break
            values = values[int(index)] if index else values[name]
        except (KeyError, IndexError, TypeError):
            return None
    if isinstance(values, dict) and place.endswith("[...]"):
        return msgspec.json.encode(values).decode()
    return values if isinstance(values, str | int | float) else None
