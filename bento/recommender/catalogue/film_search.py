"""Search by title, and by meaning where titles do not match ("quiet films about the sea")."""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bento.inference.core.errors import InferenceError
from bento.inference.core.messages import InferRequest
from bento.recommender.catalogue.title_search import CERTAIN, LiveTitles
from bento.recommender.inference import Inference
from bento.recommender.telemetry.limited_warnings import LimitedWarnings
from bento.release.loading import Release

log = logging.getLogger("marquee.recommender")

TEXT_MODEL = "text_embedding"
MEANING_TIMEOUT_S = 0.5


@dataclass(frozen=True, slots=True)
class Hit:
    """A film that was found."""

    row: int
    match: str
    """title or meaning."""
    score: float
    """Compares only with hits of the same kind."""


class FilmSearch:
    """Search over one release."""

    def __init__(self, release: Release, inference: Inference) -> None:
        self._release = release
        self._inference = inference
        self._warnings = LimitedWarnings(log)
        self.titles = LiveTitles(release)

    async def find(self, query: str, limit: int) -> tuple[list[Hit], list[str]]:
        """At most `limit` films, best first, and the parts that failed.

        Films whose title contains the query come first, then the nearest by meaning, then similar titles. For a query
        of one or two words, more likely a title with a typing error, similar titles come before meaning.
        """
        by_title = [Hit(row, "title", round(score, 4)) for row, score in self.titles.find(query, limit)]
        certain = [hit for hit in by_title if hit.score >= CERTAIN]
        near = [hit for hit in by_title if hit.score < CERTAIN]
        if len(certain) >= limit:
            return certain[:limit], []
        by_meaning, degraded = await self._by_meaning(query, limit)
        rest = [*by_meaning, *near] if len(query.split()) > 2 else [*near, *by_meaning]
        hits: dict[int, Hit] = {}
        for hit in (*certain, *rest):
            hits.setdefault(hit.row, hit)
        return list(hits.values())[:limit], degraded

    async def nearest(self, text: str, count: int) -> npt.NDArray[np.int64] | None:
        """Rows of the films nearest in meaning, best first; None when there is no encoder, or it fails or is late."""
        scores = await self._meaning(text)
        return None if scores is None else np.argsort(-scores, kind="stable")[:count]

    async def _by_meaning(self, query: str, limit: int) -> tuple[list[Hit], list[str]]:
        if self._release.films.raw_text_vectors is None:
            return [], []
        scores = await self._meaning(query)
        if scores is None:
            return [], [TEXT_MODEL]
        best = np.argsort(-scores, kind="stable")[:limit]
        return [Hit(int(row), "meaning", round(float(scores[row]), 4)) for row in best if scores[row] > 0], []

    async def _meaning(self, text: str) -> npt.NDArray[np.float32] | None:
        """(N,) cosine of every film's text with this one; minus infinity for hidden films."""
        films = self._release.films
        vectors = films.raw_text_vectors
        if vectors is None:
            return None
        request = InferRequest(
            TEXT_MODEL,
            {"TEXT": np.array([[text.encode()]], dtype=object)},
            model_version=str(self._release.number),
            deadline_ns=time.monotonic_ns() + int(MEANING_TIMEOUT_S * 1e9),
        )
        try:
            async with asyncio.timeout(MEANING_TIMEOUT_S):
                answer = await self._inference.infer(request)
        except (InferenceError, TimeoutError) as error:
            self._warnings.warn("meaning is left out", str(error) or "late")
            return None
        scores: npt.NDArray[np.float32] = await asyncio.to_thread(np.matmul, vectors, answer.outputs["embedding"][0])
        scores[films.hidden_rows] = -np.inf
        return scores
