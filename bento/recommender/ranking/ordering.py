"""The order of a list: diversity and freshness, as its request or else the settings say, and the hour of the day."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bento.recommender.catalogue.similarity import live_similarity
from bento.recommender.questions import Question
from bento.recommender.ranking.diversity import diversify, pool_size, recency
from bento.recommender.ranking.hours import Hours
from bento.recommender.ranking.selection import without
from bento.recommender.retrieval.release_search import Ranked
from bento.release.film_table import HoldsFilms, Live

NOTHING = np.empty(0, dtype=np.int64)


@dataclass(frozen=True, slots=True)
class Preferences:
    """How much diversity and freshness a list has."""

    diversity: float = 0.0
    freshness: float = 0.0


class Ordering:
    """Orders lists of one release."""

    def __init__(self, release: HoldsFilms, defaults: Preferences = Preferences(), hours: Hours | None = None) -> None:
        """`defaults`: for what a request leaves out. `hours` None: the hour of the day changes nothing."""
        self._hours = hours
        self.defaults = defaults
        self._similarity = live_similarity(release)
        self._recency = Live(release, recency)

    def preferences(self, question: Question) -> Preferences:
        """Those of the question, completed by the defaults."""
        return Preferences(
            self.defaults.diversity if question.diversity is None else question.diversity,
            self.defaults.freshness if question.freshness is None else question.freshness,
        )

    def candidates(self, question: Question) -> int:
        """How many films to rank for a question; top_k when their scores alone decide the order."""
        by_score_alone = self.preferences(question) == Preferences() and not self._hour_matters(question)
        return question.top_k if by_score_alone else pool_size(question.top_k)

    def _hour_matters(self, question: Question) -> bool:
        return question.hour is not None and self._hours is not None and self._hours.are_known

    def with_hour(self, ranked: Ranked, question: Question) -> Ranked:
        """Films scored by the sources, with the hour of the question added to their scores."""
        if question.hour is None or self._hours is None:
            return ranked
        return self._hours.added_to(ranked, question.hour)

    def order(self, ranked: Ranked, question: Question) -> Ranked:
        """The top_k films of the answer, in its order."""
        preferences = self.preferences(question)
        if preferences == Preferences():
            return ranked if len(ranked.rows) <= question.top_k else without(ranked, NOTHING, question.top_k)
        similarity, recent = self._similarity.now.between, self._recency.now
        return diversify(ranked, preferences.diversity, preferences.freshness, recent, similarity, question.top_k)
