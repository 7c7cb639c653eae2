"""Top K of `query . vector + bonus` over the whole catalogue, for many people in one search of the index.

Export places a copy beside the retrieval model's `model.py`. It knows nothing of Triton: arrays in, arrays out.

Why it is exact when the index is. Call a film's bonus the sum of its extra scores, 0 without one. A film without a
bonus that belongs in a person's top K is beaten only by the K - 1 better ones, by excluded films, and by films whose
bonus is negative. So it stands among the first K + (negative bonuses) + (excluded films) of the plain search. Films
with a bonus that the search did not reach are scored one by one, unless even the lowest score found plus their bonus
is too little. An approximate index says nothing about what it did not find, so there all of them are scored.

Letters: B people, D width of the fused space, N films, K results, S sources.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]
Int64 = npt.NDArray[np.int64]

NO_ROW = -1
"""Padding of row lists, and the row of a place without a film."""


class SearchRefused(ValueError):
    """A question that has no answer: a value outside its range."""

    def __init__(self, name: str, value: object, rule: str) -> None:
        super().__init__(f"{name} holds {value}: {rule}")


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked for B people. NO_ROW is padding in every list of rows."""

    query: Float32
    """(B, D)"""
    extra_rows: Int64
    """(B, E) films whose score is raised or lowered; a film named twice gets both."""
    extra_scores: Float32
    """(B, E)"""
    extra_weight: Float32
    """(B,) multiplies the extra scores."""
    top_k: Int64
    """(B,) at least 1."""
    allowed_rows: Int64 | None = None
    """(B, A) the only films returned; nothing but padding allows none. None: all are."""
    excluded_rows: Int64 | None = None
    """(B, X) films never returned."""


@dataclass(frozen=True, slots=True)
class Answer:
    """Best first, ties in catalogue order; unfilled places are NO_ROW, -inf and zeros."""

    rows: Int64
    """(B, K), K = min(largest top_k of the question, N)"""
    scores: Float32
    """(B, K) sum of the contributions."""
    contributions: Float32
    """(B, K, S) per source; the extra scores are the last one."""


class FusedSearch:
    """An index of films, and what it takes to explain its scores."""

    def __init__(self, index: Any, source_widths: Sequence[int]) -> None:
        """index: film_index.FilmIndex of (N, D) vectors; source_widths add up to D."""
        self.index = index
        self.n_films: int = index.n_films
        self.vectors: Float32 = index.vectors
        self._source_starts = np.cumsum([0, *source_widths[:-1]])

    def check(self, question: Question) -> None:
        """Raises: SearchRefused, naming the tensor and the value."""
        if not np.isfinite(question.query).all():
            raise SearchRefused("query", "NaN or an infinity", "every value must be finite")
        bonus = question.extra_scores * question.extra_weight[:, None]
        if not np.isfinite(np.where(question.extra_rows == NO_ROW, 0, bonus)).all():
            raise SearchRefused("extra_scores", "NaN or an infinity", "every value must be finite")
        if (question.top_k < 1).any():
            raise SearchRefused("top_k", question.top_k.min(), "at least 1")
        for name in ("extra_rows", "allowed_rows", "excluded_rows"):
            rows = getattr(question, name)
            if rows is not None and rows.size and not (rows.min() >= NO_ROW and rows.max() < self.n_films):
                outside = rows[(rows < NO_ROW) | (rows >= self.n_films)][0]
                raise SearchRefused(name, outside, f"rows are 0 to {self.n_films - 1}, and -1 is padding")

    def answer(self, questions: Sequence[Question]) -> list[Answer]:
        """One answer per question, from one search for all of them. Questions must have passed `check`."""
        joined = _Joined(questions, self.n_films)
        rows, fused = self._nearest(joined)
        rows, scores = self._merged(joined, rows, fused)
        found = self._best(joined, rows, scores)
        bounds = np.cumsum([len(question.query) for question in questions])[:-1]
        depths = [min(int(question.top_k.max()), self.n_films) for question in questions]
        parts = [np.split(part, bounds) for part in (found.rows, found.scores, found.contributions)]
        return [
            Answer(*(np.ascontiguousarray(part[:, :depth]) for part in own))
            for depth, *own in zip(depths, *parts, strict=True)
        ]

    def _nearest(self, joined: _Joined) -> tuple[Int64, Float64]:
        """Rows and fused scores (B, depth) of the plain search; NO_ROW and -inf where there are fewer films."""
        depth = min(int(joined.depth.max()), self.n_films)
        rows = np.full((len(joined.query), depth), NO_ROW, dtype=np.int64)
        fused = np.full(rows.shape, -np.inf)
        free = np.flatnonzero([allowed is None for allowed in joined.allowed])
        if len(free):
            fused[free], rows[free] = self.index.nearest(joined.query[free], depth)
        for person, allowed in enumerate(joined.allowed):  # faiss takes one filter per search
            if allowed is not None and len(allowed):
                fused[person], rows[person] = self.index.nearest_among(allowed, joined.query[person], depth)
        fused[rows == NO_ROW] = -np.inf
        return rows, fused

    def _merged(self, joined: _Joined, rows: Int64, fused: Float64) -> tuple[Int64, Float64]:
        """The found films and those that only their bonus can bring in, with total scores, (B, depth + M)."""
        person = np.arange(len(rows))[:, None]
        bonus, slots = joined.bonus_of(person, rows)
        scores = np.where(joined.is_excluded(person, rows), -np.inf, fused + bonus)
        missing = joined.has_bonus.copy()
        missing[slots] = False
        if self.index.is_exact:
            k = min(int(joined.top_k.max()), scores.shape[1])
            kth_best = np.partition(scores, scores.shape[1] - k, axis=1)[:, -k]
            missing &= fused.min(axis=1)[joined.bonus_person] + joined.bonus >= kth_best[joined.bonus_person]
        return _beside(rows, scores, *self._scored(joined, np.flatnonzero(missing)))

    def _scored(self, joined: _Joined, slots: Int64) -> tuple[Int64, Int64, Float64]:
        """Person, row and total score of bonus films that the search did not reach."""
        person, rows = joined.bonus_person[slots], joined.bonus_row[slots]
        scores = joined.bonus[slots]
        starts = np.searchsorted(person, np.arange(len(joined.query) + 1))
        for one, query in enumerate(joined.query):  # one by one: a person's vectors fit the cache, a batch's do not
            own = slice(starts[one], starts[one + 1])
            scores[own] += self.vectors[rows[own]] @ query
        return person, rows, scores

    def _best(self, joined: _Joined, rows: Int64, scores: Float64) -> Answer:
        """The K best of (B, M) scored films, explained and put in order."""
        k = min(int(joined.top_k.max()), self.n_films)
        chosen = np.argpartition(scores, scores.shape[1] - k, axis=1)[:, -k:]
        rows = np.take_along_axis(rows, chosen, axis=1)
        rows[np.take_along_axis(scores, chosen, axis=1) == -np.inf] = NO_ROW
        contributions = self._contributions(joined, rows)
        # Summed anew from the parts: they must add up to the score, and the search's own rounding depends on
        # how many people shared it.
        exact = np.where(rows == NO_ROW, -np.inf, contributions.sum(axis=2, dtype=np.float64)).astype(np.float32)
        order = np.lexsort((rows, -exact))
        late = np.arange(k) >= joined.top_k[:, None]
        rows, exact = np.take_along_axis(rows, order, axis=1), np.take_along_axis(exact, order, axis=1)
        contributions = np.take_along_axis(contributions, order[:, :, None], axis=1)
        rows[late], exact[late], contributions[late] = NO_ROW, -np.inf, 0
        return Answer(rows, exact, contributions)

    def _contributions(self, joined: _Joined, rows: Int64) -> Float32:
        """(B, K) rows → (B, K, S) what each source adds; zeros where there is no film."""
        parts = np.empty((*rows.shape, len(self._source_starts) + 1), dtype=np.float32)
        for person, query in enumerate(joined.query):  # one by one, as in `_scored`
            parts[person, :, :-1] = np.add.reduceat(self.vectors[rows[person]] * query, self._source_starts, axis=1)
        parts[:, :, -1] = joined.bonus_of(np.arange(len(rows))[:, None], rows)[0]
        parts[rows == NO_ROW] = 0
        return parts


class _Joined:
    """Questions laid end to end: B people in all. (person, row) pairs are kept as sorted numbers person * N + row."""

    def __init__(self, questions: Sequence[Question], n_films: int) -> None:
        self.n_films = n_films
        self.query = np.ascontiguousarray(np.concatenate([question.query for question in questions]), dtype=np.float32)
        self.top_k = np.concatenate([question.top_k for question in questions])
        self.allowed = [allowed for question in questions for allowed in _row_lists(question)]
        first = np.cumsum([0, *(len(question.query) for question in questions)])
        self._join_bonuses(questions, first)
        self._excluded = np.unique(
            np.concatenate([self._pairs(q.excluded_rows, start)[0] for q, start in zip(questions, first, strict=False)])
        )
        self.depth = self.top_k + self._per_person(self._excluded) + self._per_person(self._pairs_of_negatives())
        self.has_bonus &= ~_found(self._excluded, self._bonus_pairs)[0] & self._permitted()

    def _join_bonuses(self, questions: Sequence[Question], first: Int64) -> None:
        pairs, values = [], []
        for question, start in zip(questions, first, strict=False):
            numbers, kept = self._pairs(question.extra_rows, start)
            pairs.append(numbers)
            values.append((question.extra_scores.astype(np.float64) * question.extra_weight[:, None])[kept])
        self._bonus_pairs, inverse = np.unique(np.concatenate(pairs), return_inverse=True)
        self.bonus: Float64 = np.zeros(len(self._bonus_pairs))
        np.add.at(self.bonus, inverse.ravel(), np.concatenate(values))
        self.bonus_person, self.bonus_row = np.divmod(self._bonus_pairs, self.n_films)
        self.has_bonus = np.ones(len(self.bonus), dtype=bool)

    def bonus_of(self, person: Int64, rows: Int64) -> tuple[Float64, Int64]:
        """Bonus of each film, shaped like rows, and the slots of those that have one."""
        present, slots = _found(self._bonus_pairs, person * self.n_films + rows)
        present &= rows != NO_ROW
        bonus = np.zeros(rows.shape)
        bonus[present] = self.bonus[slots[present]]
        return bonus, slots[present]

    def is_excluded(self, person: Int64, rows: Int64) -> npt.NDArray[np.bool_]:
        """Like rows: true where that person must not get that film, or there is no film."""
        return _found(self._excluded, person * self.n_films + rows)[0] | (rows == NO_ROW)

    def _pairs(self, rows: Int64 | None, first_person: int) -> tuple[Int64, npt.NDArray[np.bool_]]:
        if rows is None:
            return np.empty(0, dtype=np.int64), np.empty(0, dtype=bool)
        kept = rows != NO_ROW
        return (np.arange(first_person, first_person + len(rows))[:, None] * self.n_films + rows)[kept], kept

    def _pairs_of_negatives(self) -> Int64:
        return self._bonus_pairs[self.bonus < 0]

    def _per_person(self, pairs: Int64) -> Int64:
        return np.bincount(pairs // self.n_films, minlength=len(self.query))

    def _permitted(self) -> npt.NDArray[np.bool_]:
        """For each bonus film: not shut out by that person's allowed_rows."""
        permitted = np.ones(len(self.bonus), dtype=bool)
        for person, allowed in enumerate(self.allowed):  # only people with a filter of their own
            if allowed is not None:
                own = self.bonus_person == person
                permitted[own] = np.isin(self.bonus_row[own], allowed)
        return permitted


def _row_lists(question: Question) -> list[Int64 | None]:
    if question.allowed_rows is None:
        return [None] * len(question.query)
    return [np.unique(rows[rows != NO_ROW]) for rows in question.allowed_rows]


def _found(sorted_numbers: Int64, wanted: Int64) -> tuple[npt.NDArray[np.bool_], Int64]:
    """Whether each wanted number is there, and where it would be."""
    if not len(sorted_numbers):
        return np.zeros(wanted.shape, dtype=bool), np.zeros(wanted.shape, dtype=np.int64)
    slots = np.minimum(np.searchsorted(sorted_numbers, wanted), len(sorted_numbers) - 1)
    return sorted_numbers[slots] == wanted, slots


def _beside(
    rows: Int64, scores: Float64, person: Int64, more_rows: Int64, more_scores: Float64
) -> tuple[Int64, Float64]:
    """(B, M) with a person's further films, given as a list sorted by person, to its right."""
    if not len(person):
        return rows, scores
    counts = np.bincount(person, minlength=len(rows))
    column = np.arange(len(person)) - (np.cumsum(counts) - counts)[person]
    right_rows = np.full((len(rows), counts.max()), NO_ROW, dtype=np.int64)
    right_scores = np.full(right_rows.shape, -np.inf)
    right_rows[person, column], right_scores[person, column] = more_rows, more_scores
    return np.concatenate([rows, right_rows], axis=1), np.concatenate([scores, right_scores], axis=1)
