"""Candidates from the models: `hybrid` alone, or all encoders at the same time, then fusion and retrieval.

This is the only module of the recommender that knows the names of models and tensors. A model that fails or is late
becomes a missing source, not an exception: the caller decides how to go on without it. Every source has a deadline of
its own (`deadlines`), so a slow one delays neither the others nor the answer.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from bento.inference.core.errors import InferenceError
from bento.inference.core.messages import InferRequest
from bento.recommender.inference import Inference
from bento.recommender.retrieval.deadlines import Deadlines
from bento.recommender.retrieval.one_graph import HYBRID, HybridQuestion, hybrid_answer
from bento.recommender.retrieval.release_search import IndexSearch, Ranked, ReleaseQuestion, ReleaseSearch
from bento.recommender.retrieval.reranking import reranked, reranker_inputs
from bento.recommender.schemas import Filters
from bento.recommender.telemetry.limited_warnings import LimitedWarnings
from bento.release.film_table import AddedFilms
from features.history import WatchHistory, history_tensors
from features.scorers import MLP, SCORER_MODELS
from features.sources import (
    FUSION_INPUTS,
    NEIGHBOUR_SOURCE,
    NEIGHBOUR_WEIGHT,
    SOURCE_WIDTHS,
    SOURCES,
    deadlines,
    encoders,
    source_slices,
)

log = logging.getLogger("marquee.recommender")

T = TypeVar("T")

ENCODERS = encoders()
"""Encoder -> its outputs -> the source each output is."""

TIMED_AS = deadlines()
"""Model -> the source whose deadline it has."""

RERANKER = SCORER_MODELS[MLP]
"""Asked only where the scorer is `mlp`; the dot products come with the candidates."""


@dataclass(slots=True)
class Encoded:
    """The embeddings of a history; a source that failed or was late is not among them."""

    embeddings: dict[str, npt.NDArray[np.float32]] = field(default_factory=dict)
    """Dense source -> (1, width)."""
    neighbour_rows: npt.NDArray[np.int64] | None = None
    """(C,) candidates of the item-to-item source, -1 where there is none; None when it failed."""
    neighbour_scores: npt.NDArray[np.float32] | None = None
    missing: list[str] = field(default_factory=list)
    """Sources that failed or were late."""

    def available(self) -> npt.NDArray[np.float32]:
        """(S,) 1 for sources that can be used, else 0."""
        has = {**self.embeddings, "popularity": True}
        if self.neighbour_rows is not None:
            has[NEIGHBOUR_SOURCE] = True
        return np.array([source in has for source in SOURCES], dtype=np.float32)

    def weights(self, wanted: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """(S,) see `taken_over`."""
        return taken_over(wanted, self.available()) if self.missing else wanted * self.available()


@dataclass(frozen=True, slots=True)
class Found:
    """What one inference found."""

    ranked: Ranked
    weights: npt.NDArray[np.float32]
    """(S,) those that found it."""
    missing: list[str]
    """Sources that failed."""


@dataclass(frozen=True, slots=True)
class RetrievalRequest:
    """What retrieval is asked to find."""

    weights: npt.NDArray[np.float32]
    """(S,) fusion weights."""
    k: int
    excluded_rows: npt.NDArray[np.int64]
    """(X,) films never to return."""
    allowed_rows: npt.NDArray[np.int64] | None = None
    """(A,) the only films to return; None = any."""
    filters: Filters | None = None
    """The filters that gave `allowed_rows`, where they describe it completely."""
    added: AddedFilms | None = None
    """Films that the release's index does not hold, searched beside it."""
    explain: bool = True
    """Whether contributions are needed: without, they may be zeros."""


class Models:
    """The models of one release, called with its version."""

    def __init__(
        self,
        inference: Inference,
        release: int,
        deadlines: Deadlines | None = None,
        search: ReleaseSearch | None = None,
        hybrid_films: int | None = None,
    ) -> None:
        """`search`: where the release's films are searched; None = in its own index. `hybrid_films`: films of a release
        whose model `hybrid` is asked before its models one by one; None = it has none, or it is not to be asked."""
        self._inference = inference
        self._search: ReleaseSearch = search or IndexSearch(self._infer)
        self._hybrid_films = hybrid_films
        self._version = str(release)
        self._deadlines = deadlines or Deadlines()
        self._warnings = LimitedWarnings(log)

    @property
    def asks_hybrid(self) -> bool:
        """Whether one inference is tried before the models one by one."""
        return self._hybrid_films is not None

    def request_end_ns(self) -> int:
        """When a request that starts now has to be answered."""
        return self._deadlines.of_request(time.monotonic_ns())

    async def find(
        self, history: WatchHistory, request: RetrievalRequest, request_end_ns: int | None = None
    ) -> Found | None:
        """What `encode` and `retrieve` find, by one inference of `hybrid`.

        None when there is no such model, when it fails or is late, or when no source with a weight is left: then the
        models one by one may still know something.
        """
        if self._hybrid_films is None:
            return None
        end_ns = self._deadlines.of_hybrid(time.monotonic_ns(), request_end_ns)
        question = HybridQuestion(
            history, request.weights, request.k, request.explain, request.excluded_rows, request.allowed_rows
        )
        task = asyncio.create_task(self._infer(HYBRID, question.inputs(self._hybrid_films), end_ns))
        await _until_late({HYBRID: task}, {HYBRID: end_ns})
        outputs = self._result(HYBRID, task)
        if outputs is None:
            return None
        answer = hybrid_answer(outputs, request.explain)
        weights = taken_over(request.weights, answer.used)
        if not weights.any():
            return None
        ranked = answer.released
        if request.added is not None:
            ranked = merged(ranked, nearest_added(request.added, answer.query, request), request.k)
        return Found(ranked, weights, answer.missing)

    async def encode(self, history: WatchHistory, request_end_ns: int | None = None) -> Encoded:
        """Call all encoders at the same time, each with its own deadline; only those that miss it are left out."""
        tensors = history_tensors([history])
        by_source = self._deadlines.of_sources(time.monotonic_ns(), request_end_ns)
        ends_ns = {name: by_source[source] for name, source in TIMED_AS.items()}
        tasks = {name: asyncio.create_task(self._infer(name, tensors, end_ns)) for name, end_ns in ends_ns.items()}
        await _until_late(tasks, ends_ns)
        encoded = Encoded()
        for name, task in tasks.items():
            outputs = self._result(name, task)
            if outputs is None:
                encoded.missing += ENCODERS[name].values() if name in ENCODERS else [name]
            elif name == NEIGHBOUR_SOURCE:
                encoded.neighbour_rows = outputs["candidate_rows"][0]
                encoded.neighbour_scores = outputs["candidate_scores"][0]
            else:
                encoded.embeddings |= {source: outputs[output] for output, source in ENCODERS[name].items()}
        return encoded

    async def retrieve(
        self, encoded: Encoded, request: RetrievalRequest, request_end_ns: int | None = None
    ) -> Ranked | None:
        """The best films by the weighted sum of all available sources.

        Fewer than asked for come back when the catalogue has fewer. None when fusion or retrieval fails or is late.
        """
        end_ns = self._deadlines.of_retrieval(time.monotonic_ns(), request_end_ns)
        task = asyncio.create_task(self._fuse_and_search(encoded, request, end_ns))
        await _until_late({"retrieval": task}, {"retrieval": end_ns})
        return self._result("retrieval", task)

    async def rerank(
        self,
        history: WatchHistory,
        ranked: Ranked,
        weights: npt.NDArray[np.float32],
        request_end_ns: int | None = None,
    ) -> Ranked | None:
        """Candidates in the order of the re-ranker; None when it fails or is late.

        weights: (S,) those that found them, 0 for sources that were missing.
        """
        end_ns = self._deadlines.of_retrieval(time.monotonic_ns(), request_end_ns)
        task = asyncio.create_task(self._infer(RERANKER, reranker_inputs(history, ranked, weights), end_ns))
        await _until_late({RERANKER: task}, {RERANKER: end_ns})
        outputs = self._result(RERANKER, task)
        return None if outputs is None else reranked(ranked, outputs["scores"][0])

    async def _fuse_and_search(self, encoded: Encoded, request: RetrievalRequest, deadline_ns: int) -> Ranked:
        inputs: dict[str, npt.NDArray[Any]] = {"weights": encoded.weights(request.weights)[np.newaxis]}
        for source, name in FUSION_INPUTS.items():
            inputs[name] = encoded.embeddings.get(source, _zeros(source))
        fused = await self._infer("fusion", inputs, deadline_ns)
        query, weight = fused["query"][0], float(fused[NEIGHBOUR_WEIGHT][0, 0])
        released = await self._search.search(_release_question(encoded, request, query, weight, deadline_ns))
        if request.added is None:
            return released
        return merged(released, nearest_added(request.added, query, request), request.k)

    async def _infer(self, model: str, inputs: dict[str, Any], deadline_ns: int) -> dict[str, Any]:
        request = InferRequest(model, inputs, model_version=self._version, deadline_ns=deadline_ns)
        return (await self._inference.infer(request)).outputs

    def _result(self, part: str, task: asyncio.Task[T]) -> T | None:
        """The result of a task; None when it was late (it is cancelled) or failed (it is logged)."""
        if not task.done() or task.cancelled():
            self._warnings.warn(f"{part} is left out", "late")
            return None
        error = task.exception()
        if error is None:
            return task.result()
        if not isinstance(error, InferenceError):
            raise error
        self._warnings.warn(f"{part} is left out", str(error))
        return None


def taken_over(wanted: npt.NDArray[np.float32], available: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """(S,) the wanted weights, 0 for sources that are not available, whose share the others take over.

    The sum of their sizes stays the same, so that complete and degraded answers have scores of one scale.
    """
    left = wanted * available
    total = np.abs(left).sum()
    return left * np.float32(np.abs(wanted).sum() / total) if total else left


def _release_question(
    encoded: Encoded, request: RetrievalRequest, query: npt.NDArray[np.float32], extra_weight: float, deadline_ns: int
) -> ReleaseQuestion:
    """The part of the request that the release can answer: rows of added films are not in it."""
    end = np.inf if request.added is None else request.added.first_row
    rows, scores = encoded.neighbour_rows, encoded.neighbour_scores
    allowed = request.allowed_rows
    return ReleaseQuestion(
        query=query,
        extra_rows=np.empty(0, np.int64) if rows is None else rows,
        extra_scores=np.empty(0, np.float32) if scores is None else scores,
        extra_weight=extra_weight,
        k=request.k,
        excluded_rows=request.excluded_rows[request.excluded_rows < end],
        allowed_rows=None if allowed is None else allowed[allowed < end],
        filters=request.filters,
        deadline_ns=deadline_ns,
    )


def nearest_added(added: AddedFilms, query: npt.NDArray[np.float32], request: RetrievalRequest) -> Ranked:
    """The best k of the added films, scored as the index scores its own; query: (D,)."""
    rows = np.arange(len(added.vectors)) + added.first_row
    possible = ~np.isin(rows, request.excluded_rows)
    if request.allowed_rows is not None:
        possible &= np.isin(rows, request.allowed_rows)
    vectors, rows = added.vectors[possible], rows[possible]
    scores = vectors @ query
    best = np.argsort(-scores, kind="stable")[: request.k]
    starts = [columns.start for columns in source_slices().values()]
    contributions = np.zeros((len(best), len(SOURCES)), dtype=np.float32)
    contributions[:, : len(starts)] = np.add.reduceat(vectors[best] * query, starts, axis=1)
    return Ranked(rows[best], contributions.sum(axis=1, dtype=np.float64).astype(np.float32), contributions)


def merged(first: Ranked, second: Ranked, k: int) -> Ranked:
    """The best k of two lists that share no film; ties in row order."""
    rows, scores = np.concatenate([first.rows, second.rows]), np.concatenate([first.scores, second.scores])
    best = np.lexsort((rows, -scores))[:k]
    return Ranked(rows[best], scores[best], np.concatenate([first.contributions, second.contributions])[best])


async def _until_late(tasks: Mapping[str, asyncio.Task[Any]], ends_ns: Mapping[str, int]) -> None:
    """Wait until every task is done or its deadline has passed; late tasks are cancelled, each at its own deadline.

    One timer serves all tasks with the same deadline. When the wait itself is cancelled, all tasks are cancelled.
    """
    try:
        for end_ns in sorted({ends_ns[name] for name in tasks}):
            if waiting := [task for task in tasks.values() if not task.done()]:
                await asyncio.wait(waiting, timeout=max(0.0, (end_ns - time.monotonic_ns()) / 1e9))
            for name, task in tasks.items():
                if ends_ns[name] <= end_ns:
                    task.cancel()
    finally:
        for task in tasks.values():
            task.cancel()


def _zeros(source: str) -> npt.NDArray[np.float32]:
    return np.zeros((1, SOURCE_WIDTHS[source]), dtype=np.float32)
