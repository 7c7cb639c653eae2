"""Answers that every face gives: JSON, and errors in the shape of the service or of the v2 protocol."""

from __future__ import annotations

from typing import Any

import msgspec
from starlette.responses import Response

from bento.http.errors import HttpError


class JsonResponse(Response):
    """Anything that msgspec encodes, or bytes that are JSON already."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        """The body."""
        return content if isinstance(content, bytes) else msgspec.json.encode(content)


def error_response(error: HttpError) -> Response:
    """`{"success": false, "error": {"code", "message", "detail"}}`."""
    return JsonResponse(error.body(), error.http_status, error.headers())


def v2_error_response(error: HttpError) -> Response:
    """`{"error": message}`, which clients of the inference protocol read."""
    return JsonResponse({"error": str(error)}, error.http_status, error.headers())
