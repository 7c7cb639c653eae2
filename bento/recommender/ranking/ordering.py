"""How much diversity and freshness a list gets: what its request says, else what the service is set to."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bento.recommender.catalogue.similarity import live_similarity
from bento.recommender.questions import Question
from bento.recommender.ranking.blending import without
from bento.recommender.ranking.candidates import Ranked
from bento.recommender.ranking.hours import Hours
from bento.recommender.ranking.reranking import pool_size, recency, rerank
from bento.release.film_table import HoldsFilms, Live

NOTHING = np.empty(0, dtype=np.int64)


@dataclass(frozen=True, slots=True)
class Wishes:
    """Where a request says nothing."""

    diversity: float = 0.0
    freshness: float = 0.0


class Ordering:
    """Orders lists of one release."""

    def __init__(self, release: HoldsFilms, usual: Wishes = Wishes(), hours: Hours | None = None) -> None:
        """`hours` None: the hour of the day changes nothing."""
        self._hours = hours
        self.usual = usual
        self._similarity = live_similarity(release)
        self._recency = Live(release, recency)

    def wishes(self, question: Question) -> Wishes:
        """What applies to a question."""
        return Wishes(
            self.usual.diversity if question.diversity is None else question.diversity,
            self.usual.freshness if question.freshness is None else question.freshness,
        )

    def candidates(self, question: Question) -> int:
        """How many films to rank for it; top_k when their scores alone decide."""
        by_score_alone = self.wishes(question) == Wishes() and not self._hour_matters(question)
        return question.top_k if by_score_alone else pool_size(question.top_k)

    def _hour_matters(self, question: Question) -> bool:
        return question.hour is not None and self._hours is not None and self._hours.matter

    def with_hour(self, ranked: Ranked, question: Question) -> Ranked:
        """Films that the sources scored, with what the question's hour adds."""
        if question.hour is None or self._hours is None:
            return ranked
        return self._hours.added_to(ranked, question.hour)

    def order(self, ranked: Ranked, question: Question) -> Ranked:
        """The top_k films of the answer, in its order."""
        wishes = self.wishes(question)
        if wishes == Wishes():
            return ranked if len(ranked.rows) <= question.top_k else without(ranked, NOTHING, question.top_k)
        similarity, recent = self._similarity.now.between, self._recency.now
        return rerank(ranked, wishes.diversity, wishes.freshness, recent, similarity, question.top_k)
