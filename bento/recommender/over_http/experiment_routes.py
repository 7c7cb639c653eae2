"""`GET /experiments` and `GET /experiments/{name}`: what runs, and what it shows so far."""

from __future__ import annotations

from msgspec import Struct
from starlette.requests import Request
from starlette.responses import Response

from bento.http.responses import JsonResponse
from bento.http.routing import About, Route
from bento.recommender.errors import NotAvailable, UnknownExperiment
from bento.recommender.experiments import Experiments
from bento.recommender.monitoring.experiment_report import ExperimentResult, result_of
from bento.stores.errors import StoreUnavailable
from bento.stores.interfaces import ImpressionLog


class ExperimentList(Struct, frozen=True):
    """Answer of `GET /experiments`."""

    experiments: list[str]


class ExperimentRoutes:
    """Reads what was counted, and says how far it can be trusted."""

    def __init__(self, experiments: Experiments, store: ImpressionLog) -> None:
        self._experiments = experiments
        self._store = store

    def routes(self) -> list[Route]:
        """Both routes."""
        names = About("The experiments that run", "experiments", answer=ExperimentList)
        result = About(
            "What an experiment shows so far: exposure, click-through rates with intervals, and a test",
            "experiments",
            answer=ExperimentResult,
            errors=(404, 503),
            example={"name": "blend"},
        )
        return [
            Route("GET", "/experiments", self.names, names),
            Route("GET", "/experiments/{name}", self.result, result),
        ]

    async def names(self, _: Request) -> Response:
        """Their names."""
        return JsonResponse(ExperimentList(list(self._experiments.running)))

    async def result(self, request: Request) -> Response:
        """One experiment."""
        name = request.path_params["name"]
        if name not in self._experiments.running:
            raise UnknownExperiment(name, self._experiments.running)
        try:
            return JsonResponse(await result_of(self._experiments.running[name], self._store))
        except StoreUnavailable as error:
            raise NotAvailable("what experiments count is in Redis, which does not answer; try again") from error
