"""`DELETE /users/{user_id}`: how to be forgotten."""

from __future__ import annotations

from typing import Protocol

import msgspec
from msgspec import Struct
from starlette.requests import Request
from starlette.responses import Response

from bento.auth.accounts import Accounts
from bento.http.responses import JsonResponse
from bento.http.routing import About, Route
from bento.recommender.errors import NotStored
from bento.recommender.schemas import user_id_in_path
from bento.stores.errors import StoreUnavailable
from bento.stores.interfaces import EventLog, FeatureStore
from bento.stores.spool import Spool


class ForgottenAnswer(Struct, frozen=True):
    """Answer of `DELETE /users/{user_id}`."""

    success: bool
    user_id: str
    events_deleted: int


ABOUT = About(
    "Forget a person: what they did, their account and cached answers, and what the release knows of them",
    "people",
    answer=ForgottenAnswer,
    errors=(422, 503),
    example={"user_id": "visitor-1"},
)


class KnowsLists(Protocol):
    """Whoever keeps the lists that people were served."""

    async def forget(self, user_id: str) -> None:
        """Forget those of one person. Raises: StoreUnavailable."""


class ForgetRoutes:
    """Erases people. The release's own file is not changed, but nothing of it is used for them any more."""

    def __init__(
        self,
        features: FeatureStore,
        event_log: EventLog,
        spool: Spool,
        impressions: KnowsLists | None = None,
        accounts: Accounts | None = None,
    ) -> None:
        self._accounts = accounts
        self._features = features
        self._impressions = impressions
        self._log = event_log
        self._spool = spool

    def routes(self) -> list[Route]:
        """The one route."""
        return [Route("DELETE", "/users/{user_id}", self.delete, ABOUT)]

    async def delete(self, request: Request) -> Response:
        """Forget one person; somebody unknown is forgotten as well. What is answered is done."""
        user_id = user_id_in_path(request.path_params)
        try:
            deleted = await self._spool.remove(lambda record: _is_of(record, user_id))
            await self._features.forget(user_id)
            deleted += await self._log.forget(user_id)
            if self._impressions is not None:
                await self._impressions.forget(user_id)
            if self._accounts is not None:
                await self._accounts.remove(user_id)
        except StoreUnavailable as error:
            raise NotStored("the person could not be forgotten, as Redis does not answer; try again") from error
        return JsonResponse(ForgottenAnswer(True, user_id, deleted))


def _is_of(record: bytes, user_id: str) -> bool:
    try:
        return bool(msgspec.json.decode(record)["user_id"] == user_id)
    except (msgspec.DecodeError, KeyError, TypeError):  # no event of anybody
        return False
