"""What the API's documentation says beside its routes."""

from __future__ import annotations

from bento.http.openapi import Api
from bento.recommender.schemas import USER_ID_LIMIT

DESCRIPTION = """Movie recommendations from a hybrid of sequence, two-tower, collaborative and content models.

Film ids are numbers or strings of digits; a person's id is a number or any string of up to 128 characters.
Every error has one shape: `{"success": false, "error": {"code", "message", "detail"}}`.
The Open Inference Protocol (v2) is served at `/v2` on this port and over gRPC on its own, metrics at `/metrics`."""

API = Api("Marquee", DESCRIPTION, {"user_id": {"type": "string", "minLength": 1, "maxLength": USER_ID_LIMIT}})
"""Of an instance whose routes ask nobody for a role."""
