"""What a worker starts is stopped with it, also when it does not get far."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from bento.recommender.telemetry.metrics import Metrics
from bento.release.loading import NoRelease
from bento.serving.worker import Worker
from bento.settings import Settings
from bento.stores.connection.embedded_redis import listens, socket_path


@pytest.mark.redis
async def test_without_a_release_nothing_is_left_running(tmp_path: Path) -> None:
    home = tmp_path / "home"
    with pytest.raises(NoRelease):
        await Worker.start(Settings(home=home, model_repository=tmp_path), Metrics(CollectorRegistry()))
    assert asyncio.all_tasks() == {asyncio.current_task()}
    assert not listens(socket_path(home / "redis"))
