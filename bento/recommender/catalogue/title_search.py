"""Films by title: by prefix, by words, and by similar letters.

The index is computed once from the catalogue; a search looks only at films that share a trigram with the query. Pure.
"""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from bento.recommender.catalogue.title_spelling import Spelling
from bento.release.film_table import FilmTable, HoldsFilms, Live
from features.catalog import Film

_ARTICLE_BEHIND = re.compile(r"^(?P<title>.+), (?P<article>the|a|an|la|le|les|il|el|der|die|das)$")
_YEAR = re.compile(r"\s*\(\d{4}\)\s*$")

FUZZY_LIMIT = 0.35
"""Lowest share of common trigrams of similar titles: "Godfahter" shares 0.4 with "Godfather"."""


EXACT = 4.0
"""Score of a film with exactly this title."""

CERTAIN = 1.0
"""Lowest score of a title that contains the query as it is written."""

CORRECTED = 0.24
"""Factor for the score of a title that contains the corrected query; the product stays below 1."""


class TitleSearch:
    """The titles of some films."""

    def __init__(self, films: Sequence[Film], popularity: npt.NDArray[np.float32]) -> None:
        """popularity: (N,) 0..1."""
        self._titles = [normalised(film.title) for film in films]
        self._popularity = popularity
        rows_of: dict[str, list[int]] = defaultdict(list)
        for row, title in enumerate(self._titles):
            for run in trigrams(title):
                rows_of[run].append(row)
        self._rows_of = {run: np.array(rows, dtype=np.int64) for run, rows in rows_of.items()}
        self._spelling = Spelling(self._titles, popularity)
        self._n_runs = np.array([len(trigrams(title)) for title in self._titles], dtype=np.int64)

    def find(self, query: str, limit: int) -> list[tuple[int, float]]:
        """Rows with scores, best first: 3..4 where the title begins with the query, 2..3 where a word does, 1..2
        where it contains the query, below 1 where it is similar. Of equal matches the more popular film comes first."""
        wanted = normalised(query)
        if not wanted:
            return []
        scores = self._scores(wanted)
        if scores.max(initial=0) < CERTAIN and (corrected := self._spelling.corrected(wanted)):
            meant = self._scores(corrected)
            scores = np.maximum(scores, np.where(meant >= CERTAIN, CORRECTED * meant, 0))
        found = np.flatnonzero(scores)
        best = found[np.lexsort((found, -scores[found]))[:limit]]
        return list(zip(best.tolist(), scores[best].tolist(), strict=True))

    def _scores(self, wanted: str) -> npt.NDArray[np.float64]:
        """(N,) scores of `find`; 0 for titles that do not match."""
        shared = self._shared_runs(wanted)
        scores = self._closeness(shared, len(trigrams(wanted)))
        within = {wanted[at : at + 3] for at in range(len(wanted) - 2)}  # runs of every title that holds all of it
        for row in np.flatnonzero(shared >= max(len(within), 1)).tolist():
            literal = self._literal(row, wanted)
            if literal:
                scores[row] = literal
        return scores

    def _shared_runs(self, wanted: str) -> npt.NDArray[np.int64]:
        """(N,) trigrams that each title shares with the query; a query of one or two letters has few."""
        rows = [self._rows_of[run] for run in trigrams(wanted) if run in self._rows_of]
        if not rows:
            return np.zeros(len(self._titles), dtype=np.int64)
        return np.bincount(np.concatenate(rows), minlength=len(self._titles))

    def _closeness(self, shared: npt.NDArray[np.int64], n_wanted: int) -> npt.NDArray[np.float64]:
        """(N,) similarity of each title and the query, below 1; 0 below the limit."""
        alike = shared / (n_wanted + self._n_runs - shared)
        covered = shared / n_wanted  # "godfahter" against the longer "the godfather part ii"
        closeness = np.maximum(alike, np.where(shared >= 3, 0.8 * covered, 0))
        return np.where(closeness >= FUZZY_LIMIT, closeness, 0)

    def _literal(self, row: int, wanted: str) -> float:
        """Score of a title that contains the query exactly, else 0."""
        title = self._titles[row]
        popular = 0.5 * float(self._popularity[row])
        if title == wanted:
            return EXACT
        if title.startswith(wanted):
            return 3 + popular
        if f" {wanted}" in title:
            return 2 + popular
        return 1 + popular if wanted in title else 0.0


class LiveTitles:
    """The titles of a release and of films added since; the release's are indexed once."""

    def __init__(self, release: HoldsFilms) -> None:
        films = release.films
        self._release = release
        self._largest = max(float(films.popularity.max(initial=0)), 1e-9)
        self._released = self._of(films, slice(0, films.n_released))
        self._added = Live(release, lambda films: self._of(films, slice(films.n_released, None)))

    def find(self, query: str, limit: int) -> list[tuple[int, float]]:
        """As `TitleSearch.find`, without hidden films."""
        films = self._release.films
        wanted = limit + len(films.hidden_rows)
        added = [(row + films.n_released, score) for row, score in self._added.now.find(query, wanted)]
        found = [hit for hit in (*self._released.find(query, wanted), *added) if films.visible[hit[0]]]
        return sorted(found, key=lambda hit: (-hit[1], hit[0]))[:limit]

    def _of(self, films: FilmTable, rows: slice) -> TitleSearch:
        return TitleSearch(films.catalog.films[rows], films.popularity[rows] / self._largest)


def normalised(title: str) -> str:
    """Lower case without accents, punctuation and year, articles in front: "Amelie" of "Amélie (2001)"."""
    plain = unicodedata.normalize("NFKD", _YEAR.sub("", title)).casefold()
    plain = "".join(letter for letter in plain if not unicodedata.combining(letter)).strip()
    behind = _ARTICLE_BEHIND.match(plain)
    if behind:
        plain = f"{behind['article']} {behind['title']}"
    return " ".join(re.sub(r"[^\w\s]", " ", plain).split())


def trigrams(text: str) -> set[str]:
    """Runs of three letters; spaces mark the start and the end of words."""
    padded = f"  {text} "
    return {padded[at : at + 3] for at in range(len(padded) - 2)}
