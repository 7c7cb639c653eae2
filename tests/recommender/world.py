"""A pipeline over the genre world's release, with stores in memory."""

from __future__ import annotations

import os
from dataclasses import dataclass

from prometheus_client import CollectorRegistry

from bento.http.reading import decode
from bento.recommender.catalogue.films import FilmCards
from bento.recommender.catalogue.posters import Posters
from bento.recommender.catalogue.similarity import live_similarity
from bento.recommender.pipeline import Pipeline, Stores
from bento.recommender.questions import question_of
from bento.recommender.ranking.explanations import Explainer
from bento.recommender.retrieval.candidates import Models
from bento.recommender.retrieval.deadlines import Deadlines
from bento.recommender.schemas import RecommendRequest
from bento.recommender.telemetry.metrics import Metrics
from bento.release.loading import Release
from tests.recommender import genre_world
from tests.stores.memory_stores import MemoryFeatureStore, MemoryResponseCache

HYBRID = os.environ.get("HYBRID", "off") == "on"
"""`HYBRID=on` runs the tests with the model `hybrid` before the models one by one."""

FINDING_STAGES = ("retrieve",) if HYBRID else ("encode", "retrieve")
"""Stages between a person's state and the blend."""

TIMEOUT_S = 5.0
"""So long that a busy machine never makes a model late; tests of lateness set their own."""


@dataclass
class World:
    """A pipeline with everything it stands on, for tests to look at and to break."""

    release: Release
    models: genre_world.GenreModels
    features: MemoryFeatureStore
    answers: MemoryResponseCache
    model_client: Models
    metrics: Metrics
    registry: CollectorRegistry
    cards: FilmCards
    pipeline: Pipeline

    async def ask(self, body: str = "{}") -> Answered:
        """What the pipeline answers to a request body."""
        request = decode(body.encode(), RecommendRequest)
        answer = await self.pipeline.recommend(question_of(request, self.release))
        await self.pipeline.close()
        return Answered(
            **decode(answer.body, dict), cached=answer.cached, degraded=answer.degraded, timings_ms=answer.timings_ms
        )

    def metric(self, name: str, **labels: str) -> float:
        """A metric's value; 0 when it was never counted."""
        return self.registry.get_sample_value(name, labels) or 0.0


@dataclass
class Answered:
    """An answer, decoded."""

    recommendations: list[dict[str, object]]
    reason: str | None
    release: int
    strategy: str
    scorer: str | None
    ignored_movie_ids: int
    catalogue_revision: int
    cached: bool
    degraded: list[str]
    timings_ms: dict[str, float]

    @property
    def movie_ids(self) -> list[object]:
        return [film["movie_id"] for film in self.recommendations]


def build_world(
    shared: Release,
    timeout_s: float = TIMEOUT_S,
    of: Release | None = None,
    stores: Stores | None = None,
    deadlines: Deadlines | None = None,
    hybrid: bool = HYBRID,
    **options: object,
) -> World:
    """`shared`: the release, unless `of` gives another. `hybrid`: the model is asked first. `options`: those
    of `Pipeline`."""
    release = of or shared
    models, registry = genre_world.GenreModels(), CollectorRegistry()
    answers = MemoryResponseCache()
    features = MemoryFeatureStore(answers)
    model_client = Models(
        models,
        release.number,
        deadlines or Deadlines(timeout_s, timeout_s, 4 * timeout_s),
        hybrid_films=genre_world.N_FILMS if hybrid else None,
    )
    stores = stores or Stores(features, answers)
    explainer = Explainer(release, live_similarity(release))
    cards = FilmCards(release, Posters(release.folder))
    metrics = Metrics(registry)
    pipeline = Pipeline(release, model_client, stores, cards, explainer, metrics, **options)  # type: ignore[arg-type]
    return World(release, models, features, answers, model_client, metrics, registry, cards, pipeline)
