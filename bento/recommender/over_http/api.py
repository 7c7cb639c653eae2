"""What the API's documentation says beside its routes."""

from __future__ import annotations

from bento.http.openapi import Api
from features.ids import ID_LENGTH_LIMIT

DESCRIPTION = """Movie recommendations from a hybrid of sequence, two-tower, collaborative and content models.

Ids of films and people are numbers or strings of up to 128 characters: 5 and "5" are one id, "005" is another.
Every error has one shape: `{"success": false, "error": {"code", "message", "detail"}}`.
The Open Inference Protocol (v2) is served at `/v2` on this port and over gRPC on its own, metrics at `/metrics`."""

API = Api("Marquee", DESCRIPTION, {"user_id": {"type": "string", "minLength": 1, "maxLength": ID_LENGTH_LIMIT}})
"""Of an instance whose routes ask nobody for a role."""
