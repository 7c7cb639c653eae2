"""How much diversity and freshness a list gets: what its request says, else what the service is set to."""

from __future__ import annotations

from dataclasses import dataclass

from bento.film_table import HoldsFilms, Live
from bento.recommender.candidates import Ranked
from bento.recommender.questions import Question
from bento.recommender.reranking import pool_size, recency, rerank
from bento.recommender.similarity import live_similarity


@dataclass(frozen=True, slots=True)
class Wishes:
    """Where a request says nothing."""

    diversity: float = 0.0
    freshness: float = 0.0


class Ordering:
    """Orders lists of one release."""

    def __init__(self, release: HoldsFilms, usual: Wishes = Wishes()) -> None:
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
        return question.top_k if self.wishes(question) == Wishes() else pool_size(question.top_k)

    def order(self, ranked: Ranked, question: Question) -> Ranked:
        """The top_k films of the answer, in its order."""
        wishes = self.wishes(question)
        if wishes == Wishes():
            return ranked
        similarity, recent = self._similarity.now.between, self._recency.now
        return rerank(ranked, wishes.diversity, wishes.freshness, recent, similarity, question.top_k)
