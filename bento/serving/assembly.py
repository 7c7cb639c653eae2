"""How the parts of one worker are built and started: one function a part, in the order in which they start.

Each function registers how its part is stopped in the stack that it is given, beside the line that starts the part.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import AsyncExitStack
from dataclasses import dataclass

from bento.inference.core.options import ServerOptions
from bento.inference.server import InferenceServer
from bento.recommender.batch import Batch
from bento.recommender.catalogue.film_search import FilmSearch
from bento.recommender.catalogue.films import FilmCards
from bento.recommender.catalogue.live_catalogue import LiveCatalogue
from bento.recommender.catalogue.new_film_encoder import NewFilmEncoder
from bento.recommender.catalogue.posters import Posters
from bento.recommender.catalogue.similarity import ItemSimilarity, live_similarity
from bento.recommender.experiments import Experiments, read_experiments
from bento.recommender.monitoring.monitor import Bounds, Monitoring
from bento.recommender.people.events import Feedback
from bento.recommender.people.impressions import Impressions
from bento.recommender.pipeline import Pipeline, Stores
from bento.recommender.precompute import Precompute
from bento.recommender.ranking.cold_start import ColdStart
from bento.recommender.ranking.explanations import Explainer
from bento.recommender.ranking.hours import Hours
from bento.recommender.ranking.ordering import Ordering, Preferences
from bento.recommender.ranking.trending import Trending
from bento.recommender.ranking.wording import LanguageModel, Wording
from bento.recommender.retrieval.candidates import Models
from bento.recommender.retrieval.deadlines import Deadlines
from bento.recommender.retrieval.embedding_cache import EmbeddingPrefetch
from bento.recommender.retrieval.one_graph import HYBRID
from bento.recommender.retrieval.release_search import ReleaseSearch
from bento.recommender.telemetry.metrics import Metrics
from bento.release.film_table import Live
from bento.release.loading import Release, load_release
from bento.settings import Settings
from bento.stores.connection.opening import open_redis
from bento.stores.connection.redis_link import RedisLink
from bento.stores.connection.redis_safety import RedisSafety
from bento.stores.errors import StoreUnavailable
from bento.stores.popularity import RedisPopularity
from bento.stores.precompute_jobs import PrecomputeJobs
from bento.stores.redis_films import RedisFilmStore
from bento.stores.redis_impressions import RedisImpressionLog
from bento.stores.redis_stores import RedisEventLog, RedisFeatureStore, RedisResponseCache
from bento.stores.spool import Spool

log = logging.getLogger("marquee")


@dataclass(frozen=True, slots=True)
class OpenStores:
    """What is kept of the people of one data set, in Redis and in the spool beside it."""

    link: RedisLink
    safety: RedisSafety
    prefix: str
    """How the keys of this data set begin: people of another data set are other people."""
    features: RedisFeatureStore
    answers: RedisResponseCache
    events: RedisEventLog
    films: RedisFilmStore
    impressions: RedisImpressionLog
    popularity: RedisPopularity
    precompute_jobs: PrecomputeJobs
    spool: Spool


@dataclass(frozen=True, slots=True)
class Foundation:
    """What every part of the recommender is built on."""

    settings: Settings
    metrics: Metrics
    release: Release
    server: InferenceServer
    stores: OpenStores
    stack: AsyncExitStack
    """Stops what was started, the last first."""


@dataclass(frozen=True, slots=True)
class CatalogueParts:
    """The films: how they are shown, searched and changed."""

    posters: Posters
    cards: FilmCards
    similarity: Live[ItemSimilarity]
    search: FilmSearch
    live: LiveCatalogue


@dataclass(frozen=True, slots=True)
class RankingParts:
    """What turns a question into a list."""

    models: Models
    trending: Trending
    pipeline: Pipeline


@dataclass(frozen=True, slots=True)
class FeedbackParts:
    """What is noted of served lists, and what becomes of events."""

    experiments: Experiments
    impressions: Impressions | None
    """None: served lists are not noted."""
    feedback: Feedback


@dataclass(frozen=True, slots=True)
class BackgroundParts:
    """What runs beside the requests."""

    batch: Batch
    precompute: Precompute
    monitoring: Monitoring


@dataclass(frozen=True, slots=True)
class Parts:
    """The parts of the recommender."""

    catalogue: CatalogueParts
    ranking: RankingParts
    feedback: FeedbackParts
    background: BackgroundParts


async def lay_foundation(settings: Settings, metrics: Metrics, stack: AsyncExitStack) -> Foundation:
    """Prove the release, connect to Redis, load the models.

    Raises: ReleaseError; InferenceError when a model does not load.
    """
    link, release = await _redis_and_release(settings, metrics, stack)
    safety = await _start_redis_safety(link, metrics, stack)
    stores = _open_stores(settings, release, link, safety, stack)
    server = await InferenceServer.start(_server_options(settings, release))
    stack.push_async_callback(server.close)
    return Foundation(settings, metrics, release, server, stores, stack)


async def start_parts(base: Foundation, worker_id: str) -> Parts:
    """Everything above the foundation. `worker_id`: names this worker among those that prepare lists.

    Raises: ExperimentsError.
    """
    catalogue = build_catalogue(base)
    ranking = await start_ranking(base, catalogue)
    await start_catalogue(base, catalogue)
    feedback = start_feedback(base, ranking)
    background = start_background(base, ranking, feedback.experiments, worker_id)
    return Parts(catalogue, ranking, feedback, background)


def build_catalogue(base: Foundation) -> CatalogueParts:
    """The films of the release; those added since come with `start_catalogue`."""
    release, server = base.release, base.server
    posters = Posters(release.folder)
    base.stack.callback(posters.close)
    search = FilmSearch(release, server)
    live = LiveCatalogue(release, base.stores.films, NewFilmEncoder(server, release), search.titles)
    cards = FilmCards(release, posters, base.settings.root_path)
    return CatalogueParts(posters, cards, live_similarity(release), search, live)


async def start_ranking(base: Foundation, catalogue: CatalogueParts) -> RankingParts:
    """The pipeline, warmed up, with all that it asks."""
    settings, release, stores, stack = base.settings, base.release, base.stores, base.stack
    qdrant = await _open_qdrant(settings, release, catalogue.cards, stack)
    models = Models(base.server, release.number, _deadlines(settings), qdrant, _hybrid_films(settings, release))
    trending = Trending(stores.popularity)
    trending.start()
    stack.push_async_callback(trending.close)
    hours = Hours(release)
    stack.push_async_callback(hours.close)
    pipeline = Pipeline(
        release,
        models,
        Stores(stores.features, stores.answers),
        catalogue.cards,
        Explainer(release, catalogue.similarity),
        base.metrics,
        settings.cache_ttl_s,
        cache_stale_s=settings.cache_stale_s,
        ordering=Ordering(release, Preferences(settings.diversity, settings.freshness), hours),
        cold_start=ColdStart(release, trending),
        wording=_wording(settings, stack),
    )
    stack.push_async_callback(pipeline.close)
    await pipeline.warm_up()
    hours.start()
    return RankingParts(models, trending, pipeline)


def _hybrid_films(settings: Settings, release: Release) -> int | None:
    """Films of a release that the model `hybrid` is asked for. It searches by itself, and so not with Qdrant."""
    asked = settings.hybrid == "on" and settings.index != "qdrant" and HYBRID in release.servable_models()
    return release.films.n_released if asked else None


async def start_catalogue(base: Foundation, catalogue: CatalogueParts) -> None:
    """Add the films that were added while serving, now and whenever another process adds some."""
    await catalogue.live.start()
    base.stack.push_async_callback(catalogue.live.close)


def start_feedback(base: Foundation, ranking: RankingParts) -> FeedbackParts:
    """Experiments, impressions, and the way of an event. Raises: ExperimentsError."""
    settings, release, stores, metrics = base.settings, base.release, base.stores, base.metrics
    definitions = read_experiments(settings.experiments, release.presets, release.scorers)
    experiments = Experiments(definitions, release.entry.fusion.weights)
    impressions = None
    if settings.impression_days:
        impressions = Impressions(stores.impressions, experiments.counter_keys(), metrics)
        base.stack.push_async_callback(impressions.close)
    ahead = None
    if not ranking.models.asks_hybrid:  # it reads histories, not embeddings
        ahead = EmbeddingPrefetch(release, stores.features, ranking.pipeline.embeddings)
        base.stack.push_async_callback(ahead.close)
    followers = [follower for follower in (impressions, ranking.trending, ahead) if follower is not None]
    feedback = Feedback(
        stores.features, stores.events, stores.spool, followers=followers, on_spool_bytes=metrics.spool_bytes.set
    )
    feedback.start()
    base.stack.push_async_callback(feedback.close)
    return FeedbackParts(experiments, impressions, feedback)


def start_background(
    base: Foundation, ranking: RankingParts, experiments: Experiments, worker_id: str
) -> BackgroundParts:
    """Prepared lists and monitoring. `worker_id`: names this worker among those that prepare lists."""
    settings, release, stores, stack = base.settings, base.release, base.stores, base.stack
    batch = Batch(ranking.pipeline, release, experiments)
    precompute = Precompute(batch, stores.precompute_jobs, worker=worker_id)
    precompute.start()
    stack.push_async_callback(precompute.close)
    bounds = Bounds(settings.alert_drift_psi, settings.alert_degraded_ratio, settings.alert_p99_ms)
    monitoring = Monitoring(
        release, ranking.models, base.metrics, experiments, stores.impressions, stores.safety.look, bounds=bounds
    )
    monitoring.start()
    stack.push_async_callback(monitoring.close)
    return BackgroundParts(batch, precompute, monitoring)


async def _redis_and_release(settings: Settings, metrics: Metrics, stack: AsyncExitStack) -> tuple[RedisLink, Release]:
    """Connect to Redis while the files of the release are proven. Raises: ReleaseError."""
    redis = asyncio.create_task(_start_redis(settings, metrics, stack))
    try:
        release = await asyncio.to_thread(load_release, settings.model_repository, settings.release)
    finally:
        link = await redis  # also without a release: what is being started must be stopped with the rest
    return link, release


def _open_stores(
    settings: Settings, release: Release, link: RedisLink, safety: RedisSafety, stack: AsyncExitStack
) -> OpenStores:
    """Every store of the release's data set, on one connection."""
    prefix = f"marquee:{release.entry.data.name}"
    spool = Spool.claim(settings.home / "spool")
    stack.callback(spool.close)
    return OpenStores(
        link,
        safety,
        prefix,
        RedisFeatureStore(link, prefix),
        RedisResponseCache(link, prefix),
        RedisEventLog(link, prefix),
        RedisFilmStore(link, prefix, release.identity()),
        RedisImpressionLog(link, prefix, settings.impression_days * 86_400),
        RedisPopularity(link, prefix),
        PrecomputeJobs(link, prefix),
        spool,
    )


def _server_options(settings: Settings, release: Release) -> ServerOptions:
    return ServerOptions(
        repositories=(settings.model_repository,),
        model_control_mode="explicit",
        load_models=release.servable_models(),
        left_out=release.models_left_out(),
        trust_python_models=True,  # the release's checksums were proven a moment ago
        defer_pytorch=True,  # no recommendation waits for torch, and importing it is half of a start
        release=release.number,
        device=settings.device,
        fast_path=settings.fast_path == "on",
    )


async def _start_redis(settings: Settings, metrics: Metrics, stack: AsyncExitStack) -> RedisLink:
    link = await stack.enter_async_context(open_redis(settings, metrics.redis_available.set))
    metrics.redis_available.set(True)
    try:
        await link.run("PING")  # connects, so that the first request does not wait for it
    except StoreUnavailable as error:
        log.info("starting without redis: %s", error)
    return link


async def _start_redis_safety(link: RedisLink, metrics: Metrics, stack: AsyncExitStack) -> RedisSafety:
    """Log what Redis may lose before anything is stored there, and go on looking."""
    safety = RedisSafety(link, metrics.show_redis)
    await safety.look()
    safety.start()
    stack.push_async_callback(safety.close)
    return safety


def _wording(settings: Settings, stack: AsyncExitStack) -> Wording | None:
    if settings.llm_url is None:
        return None
    model = LanguageModel(settings.llm_url, settings.llm_model, settings.llm_api_key, settings.llm_timeout_ms / 1_000)
    wording = Wording(model)
    stack.push_async_callback(wording.close)
    return wording


def _deadlines(settings: Settings) -> Deadlines:
    return Deadlines(
        settings.encoder_timeout_ms / 1_000,
        settings.retrieval_timeout_ms / 1_000,
        settings.request_timeout_ms / 1_000,
        {source: limit_ms / 1_000 for source, limit_ms in (settings.source_timeouts_ms or {}).items()},
    )


async def _open_qdrant(
    settings: Settings, release: Release, cards: FilmCards, stack: AsyncExitStack
) -> ReleaseSearch | None:
    """The release's films in Qdrant; None where its own index is searched.

    Raises: RuntimeError when the client is not installed; what `QdrantSearch.open` raises.
    """
    if settings.index != "qdrant":
        return None
    try:
        from bento.recommender.retrieval.qdrant_search import QdrantSearch  # here: the client is an extra
    except ModuleNotFoundError as error:
        raise RuntimeError(f"INDEX=qdrant needs {error.name}: install marquee's extra `qdrant`") from error
    films, name = release.films, release.identity()
    search = QdrantSearch(films, cards.ratings_of(films)[1], f"marquee-{name}")
    await search.open(settings.qdrant_url, settings.home / "qdrant" / name)
    stack.push_async_callback(search.close)
    return search
