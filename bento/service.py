"""The BentoML service: `bentoml serve bento.service:Recommender`. Nothing but wiring.

Hot routes (`/recommend`, `/v2/...` and the rest of our own) go straight from the server to their handlers through
`to_asgi`; probes, metrics and the schema stay on BentoML's ordinary routes.
"""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING, Any

import bentoml
import click
from _bentoml_sdk import Service

from bento.http.closing import ClosingAnswers
from bento.recommender.experiments import ExperimentsError, read_experiments
from bento.release.loading import ReleaseError, check_release, scorers_of
from bento.serving.front_door import FrontDoor, check_root_path, host_names, make_entrance
from bento.serving.ports import PortTaken, check_port_is_free
from bento.serving.supervisor import end_at_second_signal, end_with_supervisor, stop_supervisor
from bento.settings import Settings, WrongSetting

if TYPE_CHECKING:
    from bento.serving.worker import Worker


def _settings() -> Settings:
    """The settings of this process; a wrong one ends it in one line. Whoever imports this module serves."""
    try:
        return Settings.from_env(os.environ)
    except WrongSetting as error:
        raise SystemExit(f"marquee: {error}") from None


SETTINGS = _settings()
HOST_NAMES = host_names(SETTINGS)

os.environ.setdefault("BENTOML_DO_NOT_TRACK", "True")  # nobody is told that this runs, unless somebody asks for it


def _http_address() -> tuple[str, int]:
    """Where `bentoml serve` will listen: its --host and --port come before the settings. The workers are told."""
    context = click.get_current_context(silent=True)  # none when Python code serves, not the command line
    asked = context.params if context else {}
    host, port = asked.get("host") or SETTINGS.host, asked.get("port") or SETTINGS.port
    os.environ |= {"MARQUEE_HOST": host, "PORT": str(port)}
    return host, port


class RecommenderService(Service[Any]):
    """A BentoML service with a door of its own."""

    running: Any
    """The `Recommender` object that BentoML made; requests come only after its start."""

    def __call__(self) -> Any:
        self.running = super().__call__()
        return self.running

    def to_asgi(self, is_main: bool = True) -> Any:
        from bento.inference.over_http.connections import use_in_uvicorn

        use_in_uvicorn(lambda: self.running.worker.connections)
        door = FrontDoor(super().to_asgi(is_main), lambda: self.running.worker)
        entrance = make_entrance(door, SETTINGS, HOST_NAMES)
        return ClosingAnswers(entrance, lambda: self.running.worker.server.is_draining())


@bentoml.service(
    service_class=RecommenderService,
    http={"host": SETTINGS.host, "port": SETTINGS.port},
    workers=1,
    metrics={"enabled": True},
)
class Recommender:
    """Movie recommendations, and the Open Inference Protocol (v2) over HTTP and gRPC."""

    worker: Worker

    @bentoml.on_deployment
    @staticmethod
    def check() -> None:
        """Before any worker starts: refuse, in one line, what would fail in each of them."""
        try:
            check_root_path(SETTINGS.root_path)
            SETTINGS.home.mkdir(parents=True, exist_ok=True)
            _, release = check_release(SETTINGS.model_repository, SETTINGS.release)
            read_experiments(SETTINGS.experiments, release.fusion.presets, scorers_of(release))
            host, port = _http_address()
            check_port_is_free("PORT", host, port)
            check_port_is_free("GRPC_PORT", host, SETTINGS.grpc_port)
        except (ReleaseError, ExperimentsError, PortTaken, WrongSetting) as error:
            raise SystemExit(f"marquee: {error}") from None
        except OSError as error:
            raise SystemExit(f"marquee: MARQUEE_HOME={SETTINGS.home}: {error.strerror}") from None
        end_at_second_signal()

    @bentoml.on_startup
    async def start(self) -> None:
        """Start everything on the worker's own event loop."""
        from bento.recommender.telemetry.metrics import Metrics, use_own_folder

        end_with_supervisor()
        logging.getLogger("marquee").setLevel(logging.INFO)
        use_own_folder(SETTINGS.home, os.environ)
        from bento.inference.core.long_lived import freeze_loaded_objects
        from bento.serving.drain import drain_at_signals
        from bento.serving.worker import Worker

        try:
            self.worker = await Worker.start(SETTINGS, Metrics(), HOST_NAMES)
        except Exception:
            stop_supervisor()
            raise
        drain_at_signals(self.worker, SETTINGS.drain_s)
        freeze_loaded_objects()

    @bentoml.on_shutdown
    async def stop(self) -> None:
        """Stop everything."""
        if hasattr(self, "worker"):
            await self.worker.close()

    async def __is_ready__(self) -> bool:
        return self.worker.server.is_ready()

    def __metrics__(self, text: str) -> str:
        """BentoML's and the recommender's metrics, which share a registry, then the inference server's."""
        return text + self.worker.inference_metrics()
