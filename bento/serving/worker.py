"""What one worker process of the service holds: everything is started and stopped in order.

Nothing of BentoML is known here, so tests start a worker without it.
"""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass

import numpy as np

from bento.auth.permissions import of_v2_path
from bento.auth.setup import Auth, make_auth
from bento.http.asgi import App, HotRoutes, Router
from bento.http.docs_page import DocsRoutes
from bento.http.request_ids import RequestIds
from bento.inference.models.metrics import render_metrics
from bento.inference.options import ServerOptions
from bento.inference.over_grpc.service import start_grpc
from bento.inference.over_http.application import make_http_app
from bento.inference.over_http.at_once import AtOnce
from bento.inference.protocol.front_end import FrontEndState
from bento.inference.server import InferenceServer
from bento.recommender.batch import Batch
from bento.recommender.catalogue.film_search import FilmSearch
from bento.recommender.catalogue.films import FilmCards
from bento.recommender.catalogue.live_catalogue import LiveCatalogue
from bento.recommender.catalogue.new_film_encoder import NewFilmEncoder
from bento.recommender.catalogue.posters import Posters
from bento.recommender.catalogue.similarity import live_similarity
from bento.recommender.experiments import Experiments, read_experiments
from bento.recommender.metrics import Metrics
from bento.recommender.monitoring.monitor import Bounds, Monitoring
from bento.recommender.over_http.admin_film_routes import AdminFilmRoutes
from bento.recommender.over_http.auth_routes import AuthRoutes
from bento.recommender.over_http.batch_routes import BatchRoutes
from bento.recommender.over_http.catalogue_routes import CatalogueRoutes
from bento.recommender.over_http.event_routes import EventRoutes
from bento.recommender.over_http.experiment_routes import ExperimentRoutes
from bento.recommender.over_http.filtered_routes import FilteredRoutes, live_filter
from bento.recommender.over_http.forget_routes import ForgetRoutes
from bento.recommender.over_http.health_routes import Config, HealthRoutes
from bento.recommender.over_http.monitor_routes import MonitorRoutes
from bento.recommender.over_http.movie_title_routes import MovieTitleRoutes
from bento.recommender.over_http.page_routes import PageRoutes
from bento.recommender.over_http.people_routes import PeopleRoutes
from bento.recommender.over_http.person_routes import PersonRoutes
from bento.recommender.over_http.routes import RecommendRoutes
from bento.recommender.over_http.taste_routes import TasteRoutes
from bento.recommender.people.embedding_cache import AheadOfTime
from bento.recommender.people.events import Feedback
from bento.recommender.people.impressions import Impressions
from bento.recommender.people.person_films import PersonFilms
from bento.recommender.people.tastes import Tastes
from bento.recommender.pipeline import Pipeline, Stores
from bento.recommender.precompute import Precompute
from bento.recommender.ranking.candidates import Models
from bento.recommender.ranking.deadlines import Deadlines
from bento.recommender.ranking.explanations import Explainer
from bento.recommender.ranking.hours import Hours
from bento.recommender.ranking.newcomers import Newcomers
from bento.recommender.ranking.ordering import Ordering, Wishes
from bento.recommender.ranking.release_search import ReleaseSearch
from bento.recommender.ranking.trending import Trending
from bento.recommender.ranking.wording import LanguageModel, Wording
from bento.recommender.recommendations import Recommendations
from bento.release.loading import Release, load_release
from bento.settings import Settings, shown_settings
from bento.stores.circuit_breaker import CircuitBreaker
from bento.stores.embedded_redis import EmbeddedRedis
from bento.stores.errors import StoreUnavailable
from bento.stores.popularity import RedisPopularity
from bento.stores.precompute_jobs import PrecomputeJobs
from bento.stores.redis_films import RedisFilmStore
from bento.stores.redis_impressions import RedisImpressionLog
from bento.stores.redis_link import RedisLink, connect
from bento.stores.redis_stores import RedisEventLog, RedisFeatureStore, RedisResponseCache
from bento.stores.spool import Spool
from features.catalog import GENRES

log = logging.getLogger("marquee")


@dataclass
class Worker:
    """What answers requests."""

    release: Release
    server: InferenceServer
    v2: App
    """/v2 over HTTP."""
    at_once: AtOnce | None
    """What answers well-known infer requests without `v2`; None where every request must pass the gate."""
    recommender: App
    """The recommender's own routes."""
    grpc_port: int
    router: Router
    auth: Auth
    _stack: AsyncExitStack

    @classmethod
    async def start(cls, settings: Settings, metrics: Metrics) -> Worker:
        """Start everything; gRPC last, so that whoever connects finds it ready.

        Raises: ReleaseError, ExperimentsError, InferenceError (a model does not load), RuntimeError (the gRPC port is
        taken). What was started before is stopped again.
        """
        started_s = time.perf_counter()
        async with AsyncExitStack() as stack:
            redis = asyncio.create_task(_start_redis(settings, metrics, stack))
            try:
                release = await asyncio.to_thread(load_release, settings.model_repository, settings.release)
            finally:
                link = await redis  # also when there is no release: what is being started must be stopped with the rest
            server = await InferenceServer.start(_server_options(settings, release))
            stack.push_async_callback(server.close)
            prefix = f"marquee:{release.entry.data.name}"  # people of another data set are other people
            features = RedisFeatureStore(link, prefix)
            stores = Stores(features, RedisResponseCache(link, prefix))
            posters = Posters(release.folder)
            cards = FilmCards(release, posters)
            similarity = live_similarity(release)
            explainer = Explainer(release, similarity)
            stack.callback(posters.close)
            models = _models(settings, release, server, await _qdrant(settings, release, cards, stack))
            trending = Trending(RedisPopularity(link, prefix))
            trending.start()
            stack.push_async_callback(trending.close)
            hours = Hours(release)
            stack.push_async_callback(hours.close)
            ordering = Ordering(release, Wishes(settings.diversity, settings.freshness), hours)
            pipeline = Pipeline(
                release,
                models,
                stores,
                cards,
                explainer,
                metrics,
                settings.cache_ttl_s,
                cache_stale_s=settings.cache_stale_s,
                ordering=ordering,
                newcomers=Newcomers(release, trending),
                wording=_wording(settings, stack),
            )
            stack.push_async_callback(pipeline.close)
            await pipeline.warm_up()
            hours.start()
            ids, search = RequestIds(), FilmSearch(release, server)
            films = RedisFilmStore(link, prefix, release.identity())
            catalogue = LiveCatalogue(release, films, NewFilmEncoder(server, release), search.titles)
            await catalogue.start()
            stack.push_async_callback(catalogue.close)
            event_log, spool = RedisEventLog(link, prefix), Spool.claim(settings.home / "spool")
            stack.callback(spool.close)
            experiments = _experiments(settings, release)
            served_lists = RedisImpressionLog(link, prefix, settings.impression_days * 86_400)
            impressions = Impressions(served_lists, experiments, metrics) if settings.impression_days else None
            if impressions is not None:
                stack.push_async_callback(impressions.close)
            ahead = AheadOfTime(release, features, pipeline.embeddings)
            stack.push_async_callback(ahead.close)
            followers = [follower for follower in (impressions, trending, ahead) if follower is not None]
            feedback = Feedback(
                features, event_log, spool, followers=followers, tell_spool_bytes=metrics.spool_bytes.set
            )
            feedback.start()
            stack.push_async_callback(feedback.close)
            state, auth = FrontEndState(), make_auth(settings, link, prefix)
            grpc_server, grpc_port = await start_grpc(
                server, settings.host, settings.grpc_port, state=state, interceptors=auth.interceptors
            )
            stack.push_async_callback(grpc_server.stop, grace=5.0)
            config = _config(settings, release, server, grpc_port)
            recommendations = Recommendations(pipeline, release, ids, experiments, impressions)
            batch, jobs = Batch(pipeline, release, experiments), PrecomputeJobs(link, prefix)
            precompute = Precompute(batch, jobs, worker=ids.new())
            precompute.start()
            stack.push_async_callback(precompute.close)
            bounds = Bounds(settings.alert_drift_psi, settings.alert_degraded_ratio, settings.alert_p99_ms)
            monitoring = Monitoring(release, models, metrics, experiments, served_lists, bounds=bounds)
            monitoring.start()
            stack.push_async_callback(monitoring.close)
            person_films, tastes = PersonFilms(release, features), Tastes(features, feedback, release, ids)
            is_known = release.people.row_of.__contains__
            owners = (
                AuthRoutes(auth.accounts, auth.limits, auth.tokens, person_films, tastes, is_known),
                RecommendRoutes(recommendations),
                FilteredRoutes(recommendations, live_filter(release, cards), search),
                PersonRoutes(recommendations, cards, person_films),
                BatchRoutes(batch, jobs, precompute, ids, release, settings.batch_max_body_bytes),
                MovieTitleRoutes(release, cards, similarity, search.titles, ids),
                EventRoutes(feedback, release, ids),
                CatalogueRoutes(release, cards, similarity, posters, search, ids, catalogue.poster),
                AdminFilmRoutes(release, catalogue, cards),
                TasteRoutes(tastes),
                PeopleRoutes(release, cards, features, ids),
                ForgetRoutes(features, event_log, spool, impressions or served_lists, auth.accounts),
                ExperimentRoutes(experiments, served_lists),
                MonitorRoutes(monitoring),
                HealthRoutes(release, server.is_ready, lambda: link.is_available, config),
                PageRoutes(),
            )
            routes = [route for owner in owners for route in owner.routes()]
            router = Router([*routes, *DocsRoutes(routes).routes()])
            v2_limit = settings.v2_max_body_bytes
            worker = cls(
                release,
                server,
                auth.guard(make_http_app(server, max_body_bytes=v2_limit, state=state), of_v2_path),
                AtOnce(server, state, v2_limit) if auth.gate is None else None,
                HotRoutes(router, metrics, settings.max_body_bytes, auth.gate),
                grpc_port,
                router,
                auth,
                stack.pop_all(),
            )
        _log_start(settings, config, time.perf_counter() - started_s)
        return worker

    async def close(self) -> None:
        """Stop everything in reverse order; requests in flight are answered."""
        await self._stack.aclose()

    def inference_metrics(self) -> str:
        """The inference server's metrics in Prometheus' text format."""
        return render_metrics(self.server).decode()


async def _start_redis(settings: Settings, metrics: Metrics, stack: AsyncExitStack) -> RedisLink:
    if settings.redis_url is None:
        embedded = EmbeddedRedis(settings.home)
        await embedded.open()
        stack.push_async_callback(embedded.close)
        url = embedded.url
    else:
        url = settings.redis_url
    timeout_s = settings.redis_timeout_ms / 1_000
    breaker = CircuitBreaker(settings.redis_retry_ms / 1_000)
    link = RedisLink(connect(url, timeout_s), timeout_s, breaker, metrics.redis_available.set)
    stack.push_async_callback(link.close)
    metrics.redis_available.set(True)
    try:
        await link.run("PING")  # connects, so that the first request does not wait for it
    except StoreUnavailable as error:
        log.info("starting without redis: %s", error)
    return link


def _server_options(settings: Settings, release: Release) -> ServerOptions:
    return ServerOptions(
        repositories=(settings.model_repository,),
        model_control_mode="explicit",
        load_models=release.servable_models(),
        trust_python_models=True,  # the release's checksums were proven a moment ago
        defer_pytorch=True,  # no recommendation waits for torch, and importing it is half of a start
        release=release.number,
        device=settings.device,
    )


def _wording(settings: Settings, stack: AsyncExitStack) -> Wording | None:
    if settings.llm_url is None:
        return None
    model = LanguageModel(settings.llm_url, settings.llm_model, settings.llm_api_key, settings.llm_timeout_ms / 1_000)
    wording = Wording(model)
    stack.push_async_callback(wording.close)
    return wording


def _experiments(settings: Settings, release: Release) -> Experiments:
    return Experiments(
        read_experiments(settings.experiments, release.presets, release.scorers), release.entry.fusion.weights
    )


def _models(
    settings: Settings, release: Release, server: InferenceServer, search: ReleaseSearch | None = None
) -> Models:
    deadlines = Deadlines(
        settings.encoder_timeout_ms / 1_000,
        settings.retrieval_timeout_ms / 1_000,
        settings.request_timeout_ms / 1_000,
        {source: limit_ms / 1_000 for source, limit_ms in (settings.source_timeouts_ms or {}).items()},
    )
    return Models(server, release.number, deadlines, search)


async def _qdrant(
    settings: Settings, release: Release, cards: FilmCards, stack: AsyncExitStack
) -> ReleaseSearch | None:
    """The release's films in Qdrant; None where its own index is searched.

    Raises: RuntimeError when the client is not installed; what `QdrantSearch.open` raises.
    """
    if settings.index != "qdrant":
        return None
    try:
        from bento.recommender.ranking.qdrant_search import QdrantSearch  # here: the client is an extra
    except ModuleNotFoundError as error:
        raise RuntimeError(f"INDEX=qdrant needs {error.name}: install marquee's extra `qdrant`") from error
    films, name = release.films, release.identity()
    search = QdrantSearch(films, cards.ratings_of(films)[1], f"marquee-{name}")
    await search.open(settings.qdrant_url, settings.home / "qdrant" / name)
    stack.push_async_callback(search.close)
    return search


def _config(settings: Settings, release: Release, server: InferenceServer, grpc_port: int) -> Config:
    """What `/config` shows: nothing secret."""
    shown = shown_settings(settings)
    shown["redis_url"] = shown["redis_url"] or "embedded"
    entry = release.entry
    years = [film.year for film in release.catalog.films if film.year is not None]
    return Config(
        release=release.number,
        created_at=entry.created_at,
        data={name: getattr(entry.data, name) for name in ("name", "simulated", "people", "films", "events")},
        coverage=entry.coverage,
        poster_weights=entry.poster_weights,
        fusion_weights=entry.fusion.weights,
        presets=sorted(release.presets),
        preset_weights=entry.fusion.presets,
        scorers=list(release.scorers),
        scorer=release.scorer,
        genres=_genres_by_frequency(release),
        year_range=[min(years), max(years)] if years else None,
        models=server.model_devices(),
        grpc_port=grpc_port,
        settings=shown,
    )


def _genres_by_frequency(release: Release) -> list[str]:
    counts = release.catalog.genre_matrix.sum(axis=0)
    return [GENRES[column] for column in np.argsort(-counts, kind="stable") if counts[column]]


def _log_start(settings: Settings, config: Config, elapsed_s: float) -> None:
    data = config.data
    simulated = " (simulated)" if data["simulated"] else ""
    log.info(
        "release %d: %d films, %d people%s of %s",
        config.release,
        data["films"],
        data["people"],
        simulated,
        data["name"],
    )
    by_device: dict[str, list[str]] = {}
    for model, device in sorted(config.models.items()):
        by_device.setdefault(device, []).append(model)
    for device, models in sorted(by_device.items()):
        log.info("models on %s: %s", device, ", ".join(models))
    log.info("redis: %s", config.settings["redis_url"])
    address = f"http://{settings.host}:{settings.port}"
    log.info("%s answers, gRPC on port %d; ready in %.1f s", address, config.grpc_port, elapsed_s)
