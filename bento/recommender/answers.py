"""How an answer of the pipeline leaves: who asked, what may have come from the cache, what is new every time."""

from __future__ import annotations

import msgspec

from bento.recommender.pipeline import Answer
from bento.recommender.request_ids import RequestIds
from bento.recommender.schemas import AnswerTail, join_objects


class _UserField(msgspec.Struct):
    user_id: int | str | None


def compose(
    user_id: int | str | None, answer: Answer, given_id: str | None, ids: RequestIds, *more: msgspec.Struct
) -> bytes:
    """The answer as JSON. `user_id` as the request wrote it; `given_id` is the caller's own request id."""
    new_id = ids.new()
    tail = AnswerTail(answer.cached, answer.degraded, answer.timings_ms, given_id or new_id, f"rec-{new_id}")
    encode = msgspec.json.encode
    return join_objects(encode(_UserField(user_id)), answer.body, encode(tail), *map(encode, more))
