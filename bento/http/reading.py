"""Bodies and query strings read into msgspec Structs: types and bounds are checked while they are decoded.

What is wrong becomes InvalidRequest with the field, the value and the limit.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec

from bento.http.errors import MalformedRequest
from bento.http.invalid_values import refusal

T = TypeVar("T")


def decode(body: bytes, kind: type[T]) -> T:
    """Read a JSON body.

    Raises: MalformedRequest, InvalidRequest.
    """
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.ValidationError as error:
        raise refusal(error, _loosely(body), kind) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise MalformedRequest(str(error) if body.strip() else "it is empty, send {} at least") from None


def convert(values: Mapping[str, str], kind: type[T]) -> T:
    """Read the parameters of a query string; numbers are written as text there.

    Raises: InvalidRequest.
    """
    try:
        return msgspec.convert(dict(values), type=kind, strict=False)
    except msgspec.ValidationError as error:
        raise refusal(error, values, kind) from None


def _loosely(body: bytes) -> Any:
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):  # broken beyond the wrong value
        return None
