"""What an instance says about itself: `/health` and `/config`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Literal

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from bento.http.responses import JsonResponse
from bento.http.routing import About, Route
from bento.release.loading import Release
from bento.stores.connection.redis_safety import RedisReport


class Health(msgspec.Struct, frozen=True):
    """Answer of `GET /health`."""

    status: Literal["ok", "not_ready"]
    release: int
    movies_loaded: int
    people_known: int
    redis: Literal["ok", "not_available", "writes_fail"]
    """writes_fail: it answers and refuses writes; events wait on disk."""
    redis_data: Literal["kept", "may_be_lost", "unknown"]
    """Whether Redis keeps what it acknowledged; may_be_lost: by eviction or by a restart."""
    redis_warnings: list[str]
    """What is wrong with Redis, in words."""


class Config(msgspec.Struct, frozen=True):
    """Answer of `GET /config`."""

    release: int
    created_at: str
    data: dict[str, Any]
    """Name, whether its people are simulated, how many people and films."""
    coverage: dict[str, float]
    """Share of films that have each kind of content."""
    poster_weights: str
    fusion_weights: dict[str, float]
    presets: list[str]
    preset_weights: dict[str, dict[str, float]]
    scorers: list[str]
    """What a request may have its candidates ordered by."""
    scorer: str
    """The one that orders them where it says nothing."""
    genres: list[str]
    """Those that occur in the catalogue, most frequent first."""
    year_range: Annotated[list[int], msgspec.Meta(min_length=2, max_length=2)] | None
    """Years of the oldest and the newest film; null when no year is known."""
    models: dict[str, str]
    """Model -> device."""
    models_left_out: dict[str, str]
    """Models of the release that are not served -> the reason."""
    grpc_port: int
    settings: dict[str, Any]
    """Settings by field name, without secrets."""


class HealthRoutes:
    """`GET /health` for people and probes, `GET /config` for whoever wants to know what runs here."""

    def __init__(
        self,
        release: Release,
        is_ready: Callable[[], bool],
        redis_available: Callable[[], bool],
        redis_report: Callable[[], RedisReport],
        config: Config,
    ) -> None:
        self._release = release
        self._is_ready = is_ready
        self._redis_available = redis_available
        self._redis_report = redis_report
        self._config = msgspec.json.encode(config)

    def routes(self) -> list[Route]:
        """Both routes."""
        health = About("Whether the service answers", "service", answer=Health, errors=())
        config = About("What runs here: release, models and their devices, settings", "service", answer=Config)
        return [Route("GET", "/health", self.health, health), Route("GET", "/config", self.config, config)]

    async def health(self, _: Request) -> Response:
        """200 while the models answer, with or without Redis; else 503."""
        ready, report = self._is_ready(), self._redis_report()
        body = Health(
            "ok" if ready else "not_ready",
            self._release.number,
            len(self._release.films.visible_rows),
            len(self._release.people),
            self._redis_state(report),
            report.data,
            [warning.message for warning in report.warnings],
        )
        return JsonResponse(body, 200 if ready else 503)

    def _redis_state(self, report: RedisReport) -> Literal["ok", "not_available", "writes_fail"]:
        if not self._redis_available():
            return "not_available"
        return "writes_fail" if report.writes == "refused" else "ok"

    async def config(self, _: Request) -> Response:
        """Release, settings, and the device of each model."""
        return JsonResponse(self._config)
