"""The stages of one recommendation, one line each.

response cache and feature store (one round trip) -> encoders -> fusion and retrieval -> order -> answer.
Where the release has the model `hybrid`, it does the work of encoders, fusion and retrieval at once.
Every stage is timed and has a named fallback: a source that is late weighs nothing, without retrieval the
`fallbacks` answer, without Redis the person's history in the release is used, and a person without a history gets
the list of `cold_start`. What was left out is named in the answer's `degraded`.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

import msgspec
import numpy as np
import numpy.typing as npt

from bento.background import DetachedTasks
from bento.recommender.answer_cache import AnswerCache, CachedAnswer, Lifetimes, answer_key
from bento.recommender.catalogue.films import FilmCards
from bento.recommender.catalogue.popularity import popularity_ranks
from bento.recommender.people.histories import merged
from bento.recommender.questions import Question
from bento.recommender.ranking import fallbacks
from bento.recommender.ranking.cold_start import ColdStart
from bento.recommender.ranking.explanations import Explainer
from bento.recommender.ranking.ordering import Ordering
from bento.recommender.ranking.selection import followed_by, without
from bento.recommender.ranking.shortfall import Supply, why_short
from bento.recommender.ranking.wording import Wording
from bento.recommender.retrieval.candidates import RERANKER, Found, Models, RetrievalRequest
from bento.recommender.retrieval.embedding_cache import EmbeddingCache
from bento.recommender.retrieval.release_search import Ranked
from bento.recommender.schemas import AnswerBody, Reasons, RecommendedFilm
from bento.recommender.single_flight import SingleFlight
from bento.recommender.telemetry.metrics import Metrics
from bento.recommender.telemetry.observations import ListFacts
from bento.recommender.telemetry.stopwatch import Stopwatch
from bento.release.film_table import Live
from bento.release.loading import Release
from bento.stores.errors import StoreUnavailable
from bento.stores.interfaces import FeatureStore, ResponseCache
from bento.stores.person import NO_STATE, DamagedState, PersonState
from features.history import WatchHistory
from features.scorers import CANDIDATES, DOT, MLP

log = logging.getLogger("marquee.recommender")


@dataclass(frozen=True, slots=True)
class Stores:
    """The stores that the pipeline reads and writes."""

    features: FeatureStore
    answers: ResponseCache


@dataclass(slots=True)
class Answer:
    """An answer, with its body encoded as it is cached."""

    body: bytes
    """JSON of `schemas.AnswerBody`."""
    cached: bool
    degraded: list[str] = field(default_factory=list)
    timings_ms: dict[str, float] = field(default_factory=dict)


@dataclass(slots=True)
class _Ranking:
    """Films by score, and the strategy that found them."""

    strategy: str
    ranked: Ranked
    scorer: Literal["dot", "mlp"] | None = None
    degraded: list[str] = field(default_factory=list)
    """What was left out."""


@dataclass(frozen=True, slots=True)
class _LookedUp:
    state: PersonState
    cached: CachedAnswer | None
    degraded: list[str]


class Pipeline:
    """Answers questions about one release."""

    def __init__(
        self,
        release: Release,
        models: Models,
        stores: Stores,
        cards: FilmCards,
        explainer: Explainer,
        metrics: Metrics,
        cache_ttl_s: int = 300,
        now_s: Callable[[], float] = time.time,
        cache_stale_s: int = 0,
        ordering: Ordering | None = None,
        cold_start: ColdStart | None = None,
        wording: Wording | None = None,
    ) -> None:
        """`ordering` None: without defaults for diversity and freshness. `wording` None: plain explanations."""
        self._wording = wording
        self._release = release
        self._ordering = ordering or Ordering(release)
        self._models = models
        self._stores = stores
        self._metrics = metrics
        self._cards = cards
        lifetimes = Lifetimes(cache_ttl_s, cache_stale_s)
        self._cache = AnswerCache(stores.answers, metrics, lifetimes, now_s, self._fingerprint())
        self.embeddings = EmbeddingCache(models.encode)
        self._explainer = explainer
        self._cold_start = cold_start or ColdStart(release)
        self._popularity_ranks = Live(release, lambda films: popularity_ranks(films.popularity))
        self._flights: SingleFlight[Answer] = SingleFlight()
        self._renewing = DetachedTasks()

    def _fingerprint(self) -> str:
        """Identifies everything beside the question that an answer depends on: release numbers repeat, settings change,
        and another version of this code may give answers other fields."""
        fields = str((AnswerBody.__struct_fields__, RecommendedFilm.__struct_fields__, Reasons.__struct_fields__))
        wording = self._wording.signature if self._wording else ""
        of = (self._release.identity(), str(self._ordering.defaults), wording, self._cards.root_path, fields)
        return hashlib.blake2b("\0".join(of).encode(), digest_size=6).hexdigest()

    async def recommend(self, question: Question, use_cache: bool = True) -> Answer:
        """The answer to a question. It is never empty, and a part that fails does not make it an error.

        Without `use_cache` it is computed, and cached for later requests.
        """
        watch, end_ns = Stopwatch(), self._models.request_end_ns()
        looked_up = await self._look_up(question, use_cache)
        watch.lap("state")
        if looked_up.cached is not None:
            answer = Answer(looked_up.cached.body, cached=True)
            if looked_up.cached.stale:
                self._renew(question, looked_up.state)
        else:
            if self._flights.is_under_way(answer_key(question, looked_up.state)):
                self._metrics.joined.inc()
            computed = await self._computed_once(question, looked_up.state, end_ns)
            watch.add(computed.timings_ms)
            answer = Answer(computed.body, cached=False, degraded=looked_up.degraded + computed.degraded)
        answer.timings_ms = watch.finish()
        self._metrics.observe_stages(answer.timings_ms)
        self._metrics.observations.note(answer.timings_ms, answer.degraded)
        for part in answer.degraded:
            self._metrics.degraded.labels(part).inc()
        return answer

    async def precompute(self, question: Question, plain: Question, ttl_s: float, asked_at_s: float = 0.0) -> list[str]:
        """Cache the answer to `question` as the answer to `plain`, which the same person will ask.

        Returns the parts that were missing; then nothing is cached. Nothing is cached either for a person who was
        erased after `asked_at_s`, as the given history is part of what was to be erased; this is not reported.
        Raises: StoreUnavailable.
        """
        try:
            state = await self._stores.features.read(question.user_id or "")
        except DamagedState as error:
            log.debug("going on without the person's state: %s", error)
            return ["feature_store"]
        if state.forgotten and state.version > asked_at_s * 1e6:  # versions are microseconds
            return []
        computed = await self._compute(question, state, self._models.request_end_ns(), remember=False)
        if not computed.degraded:
            await self._cache.store(plain, state, computed.body, ttl_s)
        return computed.degraded

    async def warm_up(self) -> None:
        """Run all models once: the first run allocates memory and starts threads."""
        one_film = WatchHistory(np.zeros(1, np.int64), np.zeros(1, np.float32), np.zeros(1, np.int64))
        encoded = await self._models.encode(one_film)
        request = RetrievalRequest(self._release.weights, CANDIDATES, one_film.item_rows)
        await self._models.find(one_film, request)
        found = await self._models.retrieve(encoded, request)
        if MLP in self._release.scorers and found is not None:
            await self._models.rerank(one_film, found, self._release.weights)

    async def close(self) -> None:
        """Wait until the answers being computed are cached."""
        await self._renewing.finish()
        await self._cache.close()

    async def _computed_once(self, question: Question, state: PersonState, end_ns: int) -> Answer:
        """The answer, computed once for all equal questions at the same time, within the deadline of the first."""
        return await self._flights.run(answer_key(question, state), lambda: self._compute(question, state, end_ns))

    def _renew(self, question: Question, state: PersonState) -> None:
        """Compute a new answer for later requests."""
        if not self._flights.is_under_way(answer_key(question, state)):
            computed = self._computed_once(question, state, self._models.request_end_ns())
            self._renewing.start(computed, "renew-answer")

    async def _compute(self, question: Question, state: PersonState, end_ns: int, remember: bool = True) -> Answer:
        """An answer without the response cache; `end_ns`: when the request has to be answered."""
        watch = Stopwatch()
        history, seen_rows = self._histories(question, state)
        films = self._release.films
        excluded_rows = np.unique(np.concatenate([seen_rows, question.excluded_rows, films.hidden_rows]))
        if len(history.item_rows):
            ranking = await self._rank(question, history, excluded_rows, watch, end_ns)
        else:
            ranking = _Ranking("cold_start", self._cold_start.for_person(state))
        strategy, degraded = ranking.strategy, ranking.degraded
        chosen = self._choose(ranking.ranked, self._with_disallowed(excluded_rows, question), question)
        if strategy == "hybrid":
            chosen = self._ordering.with_hour(chosen, question)
        chosen = self._ordering.order(chosen, question)
        watch.lap("blend")
        self._metrics.strategies.labels(strategy).inc()
        self._observe(question, strategy, history, chosen, degraded)
        reasons = None
        if question.explain:
            reasons, missing = await self._explain(chosen, history)
            degraded = [*degraded, *missing]
            watch.lap("explain")
        shown = self._cards.recommended(chosen.rows, chosen.scores, reasons)
        reason = why_short(chosen.rows, question.top_k, self._supply(question, seen_rows))
        answered = AnswerBody(
            shown, reason, self._release.number, strategy, ranking.scorer, question.ignored_movie_ids, films.revision
        )
        body = msgspec.json.encode(answered)
        if remember and not degraded:
            self._cache.store_later(question, state, body)
        watch.lap("answer")
        return Answer(body, cached=False, degraded=degraded, timings_ms=watch.laps_ms)

    async def _explain(self, chosen: Ranked, history: WatchHistory) -> tuple[list[Reasons], list[str]]:
        """The reasons of each film, and the parts that were missing."""
        reasons = self._explainer.reasons(chosen, history)
        if self._wording is None:
            return reasons, []
        titles = [self._release.catalog.films[row].title for row in chosen.rows.tolist()]
        return await self._wording.reword(titles, reasons)

    def _observe(
        self, question: Question, strategy: str, history: WatchHistory, chosen: Ranked, degraded: list[str]
    ) -> None:
        """Record what drift is measured on: lists by the release's own weights, without options of the request."""
        seen = self._metrics.observations
        seen.strategies[strategy] += 1
        unfiltered = question.weights is self._release.weights and question.allowed_rows is None
        unfiltered = unfiltered and question.scorer == self._release.scorer
        as_released = unfiltered and self._ordering.candidates(question) == question.top_k
        if strategy == "hybrid" and as_released and not degraded and len(chosen.rows):
            seen.lists.append(ListFacts.of(history.item_rows, chosen.rows, chosen.scores, self._popularity_ranks.now))

    async def _look_up(self, question: Question, use_cache: bool) -> _LookedUp:
        """The person's state and a cached answer; both reads travel in one round trip."""
        degraded: list[str] = []
        use_cache = use_cache and self._cache.is_on
        reading = self._read_state(question, degraded)
        if not use_cache:
            return _LookedUp(await reading, None, degraded)
        state, sealed = await asyncio.gather(reading, self._read_answer(question, degraded))
        cached = None if degraded else self._cache.open(question, state, sealed)
        return _LookedUp(state, cached, degraded)

    async def _read_state(self, question: Question, degraded: list[str]) -> PersonState:
        if question.user_id is None:
            return NO_STATE
        try:
            return await self._stores.features.read(question.user_id)
        except (StoreUnavailable, DamagedState) as error:
            log.debug("going on without the person's state: %s", error)
            degraded.append("feature_store")
            return NO_STATE

    async def _read_answer(self, question: Question, degraded: list[str]) -> bytes | None:
        try:
            return await self._cache.read(question)
        except StoreUnavailable as error:
            log.debug("going on without the response cache: %s", error)
            degraded.append("response_cache")
            return None

    def _histories(self, question: Question, state: PersonState) -> tuple[WatchHistory, npt.NDArray[np.int64]]:
        """The history that is encoded, and the rows of all films the person has seen.

        A history given with the request is encoded alone; the films that the person is known to have seen still count
        as seen.
        """
        from_release = self._release.people.history_of(question.user_id or "")
        known = merged(from_release, state, self._release.catalog)
        if question.history is None:
            return known.taste, known.seen_rows
        return question.history, np.concatenate([question.history.item_rows, known.seen_rows])

    async def _rank(
        self,
        question: Question,
        history: WatchHistory,
        excluded_rows: npt.NDArray[np.int64],
        watch: Stopwatch,
        end_ns: int,
    ) -> _Ranking:
        """Films by score: as many as the order needs, where the catalogue has as many that are not excluded."""
        films = self._release.films
        if not question.weights.any():  # every source has weight 0
            return _Ranking("genre_popularity", self._by_genre(history))
        released = films.as_released(history)
        count = self._ordering.candidates(question)
        deep = count if question.scorer == DOT else max(count, CANDIDATES)
        explain = question.explain or question.scorer == MLP  # the re-ranker reads contributions, too
        request = RetrievalRequest(
            question.weights, deep, excluded_rows, question.allowed_rows, question.filters, films.added, explain
        )
        found = await self._models.find(released, request, end_ns)
        if found is not None:
            watch.lap("retrieve")
            return await self._scored(question, released, found, watch, end_ns)
        encoded = await self.embeddings.encode(released, end_ns)
        watch.lap("encode")
        weights = encoded.weights(question.weights)
        has_sources = bool(weights.any())  # else every film would score 0
        ranked = await self._models.retrieve(encoded, request, end_ns) if has_sources else None
        watch.lap("retrieve")
        if ranked is not None:
            return await self._scored(question, released, Found(ranked, weights, encoded.missing), watch, end_ns)
        k = count + len(self._with_disallowed(excluded_rows, question))
        by_genre = self._by_genre(history)
        strategy, ranked = fallbacks.best_without_retrieval(encoded, films.text_vectors, by_genre, k)
        watch.lap("fallback")
        return _Ranking(strategy, ranked, degraded=[*encoded.missing, *(["retrieval"] if has_sources else [])])

    def _by_genre(self, history: WatchHistory) -> Ranked:
        """All films by popularity among the genres of a history."""
        films = self._release.films
        return fallbacks.genre_popularity(history, films.popularity, films.catalog.genre_matrix)

    async def _scored(
        self, question: Question, history: WatchHistory, found: Found, watch: Stopwatch, end_ns: int
    ) -> _Ranking:
        """What was found, by the scorer that is asked for."""
        ranking = _Ranking("hybrid", found.ranked, DOT, list(found.missing))
        if question.scorer == MLP and len(found.ranked.rows):
            await self._rerank(ranking, history, found.weights, end_ns)
            watch.lap("rescore")
        return ranking

    async def _rerank(
        self, ranking: _Ranking, history: WatchHistory, weights: npt.NDArray[np.float32], end_ns: int
    ) -> None:
        """Order the candidates by the re-ranker; when it fails or is late, the order of the dot product stays."""
        reranked = await self._models.rerank(history, ranking.ranked, weights, end_ns)
        if reranked is None:
            ranking.degraded.append(RERANKER)
        else:
            ranking.ranked, ranking.scorer = reranked, MLP

    def _choose(self, ranked: Ranked, excluded_rows: npt.NDArray[np.int64], question: Question) -> Ranked:
        """The candidates that are not excluded, popular films where the ranking has too few for top_k.

        A person who has seen every film gets seen films again, unless the question has filters.
        """
        chosen = without(ranked, excluded_rows, self._ordering.candidates(question))
        popular = self._cold_start.popular()
        if len(chosen.rows) < question.top_k:
            chosen = followed_by(chosen, without(popular, excluded_rows, question.top_k), question.top_k)
        if len(chosen.rows) or question.allowed_rows is not None:
            return chosen
        return without(popular, question.excluded_rows, question.top_k)

    def _supply(self, question: Question, seen_rows: npt.NDArray[np.int64]) -> Supply:
        """The films that the answer could be made of."""
        filtered = question.allowed_rows is not None
        possible_rows = self._release.films.visible_rows if question.allowed_rows is None else question.allowed_rows
        return Supply(possible_rows, seen_rows, question.excluded_rows, filtered)

    def _with_disallowed(self, excluded_rows: npt.NDArray[np.int64], question: Question) -> npt.NDArray[np.int64]:
        """The excluded films and those that do not pass the question's filters."""
        if question.allowed_rows is None:
            return excluded_rows
        everything = np.arange(len(self._release.catalog))
        return np.union1d(excluded_rows, np.setdiff1d(everything, question.allowed_rows, assume_unique=True))
