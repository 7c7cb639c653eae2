"""The recommender's routes of one worker, and what it says about itself at `/config` and in its first log lines."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import Protocol

import numpy as np

from bento.auth.permissions import role_name_of_route
from bento.auth.setup import Auth
from bento.http.docs_page import DocsRoutes
from bento.http.openapi import document
from bento.http.request_ids import RequestIds
from bento.http.routing import Route, Router
from bento.recommender.over_http.admin_film_routes import AdminFilmRoutes
from bento.recommender.over_http.api import API
from bento.recommender.over_http.catalogue_routes import CatalogueRoutes
from bento.recommender.over_http.embedding_routes import EmbeddingRoutes
from bento.recommender.over_http.experiment_routes import ExperimentRoutes
from bento.recommender.over_http.health_routes import Config, HealthRoutes
from bento.recommender.over_http.lists.batch_routes import BatchRoutes
from bento.recommender.over_http.lists.filtered_routes import FilteredRoutes, live_filter
from bento.recommender.over_http.lists.list_routes import RecommendRoutes
from bento.recommender.over_http.lists.movie_title_routes import MovieTitleRoutes
from bento.recommender.over_http.lists.person_routes import PersonRoutes
from bento.recommender.over_http.monitor_routes import MonitorRoutes
from bento.recommender.over_http.page_routes import PageRoutes
from bento.recommender.over_http.people.auth_routes import AuthRoutes
from bento.recommender.over_http.people.event_routes import EventRoutes
from bento.recommender.over_http.people.forget_routes import ForgetRoutes
from bento.recommender.over_http.people.people_routes import PeopleRoutes
from bento.recommender.over_http.people.taste_routes import TasteRoutes
from bento.recommender.people.person_films import PersonFilms
from bento.recommender.people.tastes import Tastes
from bento.recommender.recommendations import Recommendations
from bento.recommender.text_embeddings import TextEmbeddings
from bento.release.loading import Release
from bento.serving.assembly import Foundation, Parts
from bento.settings import Settings, shown_settings
from features.catalog import GENRES

log = logging.getLogger("marquee")


class RouteOwner(Protocol):
    """Routes of one subject."""

    def routes(self) -> list[Route]:
        """All of them."""


def build_router(base: Foundation, parts: Parts, auth: Auth, ids: RequestIds, config: Config) -> Router:
    """Every route of the recommender, and those that document them."""
    owners = (
        *_routes_of_films(base, parts, ids),
        *_routes_of_people(base, parts, auth, ids),
        *_own_routes(base, parts, config),
    )
    routes = [route for owner in owners for route in owner.routes()]
    api = replace(API, root_path=base.settings.root_path, role_of=role_name_of_route)
    return Router([*routes, *DocsRoutes(document(routes, api)).routes()])


def _routes_of_films(base: Foundation, parts: Parts, ids: RequestIds) -> tuple[RouteOwner, ...]:
    """Lists of films, and films themselves."""
    release, stores, settings = base.release, base.stores, base.settings
    catalogue, feedback, background = parts.catalogue, parts.feedback, parts.background
    cards, similarity, search = catalogue.cards, catalogue.similarity, catalogue.search
    ask = Recommendations(parts.ranking.pipeline, release, ids, feedback.experiments, feedback.impressions)
    limit_bytes, prefix = settings.batch_max_body_bytes, settings.root_path
    return (
        RecommendRoutes(ask),
        FilteredRoutes(ask, live_filter(release, cards), search),
        PersonRoutes(ask, cards, PersonFilms(release, stores.features)),
        BatchRoutes(background.batch, stores.precompute_jobs, background.precompute, ids, release, limit_bytes, prefix),
        MovieTitleRoutes(release, cards, similarity, search.titles, ids),
        CatalogueRoutes(release, cards, similarity, catalogue.posters, search, ids, catalogue.live.poster),
        AdminFilmRoutes(release, catalogue.live, cards),
        EmbeddingRoutes(TextEmbeddings(base.server, release), release.entry.created_at, limit_bytes),
    )


def _routes_of_people(base: Foundation, parts: Parts, auth: Auth, ids: RequestIds) -> tuple[RouteOwner, ...]:
    """Accounts, events, tastes, and what is known of a person."""
    release, stores, feedback = base.release, base.stores, parts.feedback
    person_films = PersonFilms(release, stores.features)
    tastes = Tastes(stores.features, feedback.feedback, release, ids)
    noted = feedback.impressions or stores.impressions
    is_known = release.people.row_of.__contains__
    return (
        AuthRoutes(auth.accounts, auth.limits, auth.tokens, person_films, tastes, is_known),
        EventRoutes(feedback.feedback, release, ids),
        TasteRoutes(tastes),
        PeopleRoutes(release, parts.catalogue.cards, stores.features, ids),
        ForgetRoutes(stores.features, stores.events, stores.spool, noted, auth.accounts),
    )


def _own_routes(base: Foundation, parts: Parts, config: Config) -> tuple[RouteOwner, ...]:
    """What the service says about itself, and its page."""
    stores = base.stores
    return (
        ExperimentRoutes(parts.feedback.experiments, stores.impressions),
        MonitorRoutes(parts.background.monitoring),
        HealthRoutes(
            base.release, base.server.is_ready, lambda: stores.link.is_available, stores.safety.report, config
        ),
        PageRoutes(root_path=base.settings.root_path),
    )


def build_config(base: Foundation, grpc_port: int) -> Config:
    """What `/config` shows: nothing secret."""
    release, shown = base.release, shown_settings(base.settings)
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
        models=base.server.model_devices(),
        models_left_out=release.models_left_out(),
        grpc_port=grpc_port,
        settings=shown,
    )


def _genres_by_frequency(release: Release) -> list[str]:
    counts = release.catalog.genre_matrix.sum(axis=0)
    return [GENRES[column] for column in np.argsort(-counts, kind="stable") if counts[column]]


def log_start(settings: Settings, config: Config, elapsed_s: float) -> None:
    """Say what is served, where it runs, and where it answers."""
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
    by_reason: dict[str, list[str]] = {}
    for model, reason in sorted(config.models_left_out.items()):
        by_reason.setdefault(reason, []).append(model)
    for reason, models in sorted(by_reason.items()):
        log.warning("models not served: %s: %s", ", ".join(models), reason)
    log.info("redis: %s", config.settings["redis_url"])
    address = f"http://{settings.host}:{settings.port}{settings.root_path}"
    log.info("%s answers, gRPC on port %d; ready in %.1f s", address, config.grpc_port, elapsed_s)
