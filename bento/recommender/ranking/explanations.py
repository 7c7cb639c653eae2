"""Why a film is recommended: the contribution of each source, similar films of the history, what they share. Pure."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from bento.recommender.catalogue.similarity import ItemSimilarity
from bento.recommender.ranking.hours import PART
from bento.recommender.retrieval.release_search import Ranked
from bento.recommender.schemas import Because, Reasons
from bento.release.film_table import HoldsFilms, Live
from features.catalog import Film
from features.history import WatchHistory
from features.scorers import MLP
from features.sources import SOURCES
from features.thresholds import not_disliked

BECAUSE_LIMIT = 3
HISTORY_LIMIT = 200
"""Newest films of a history that are compared."""

SIMILAR_FROM = 0.1
"""Lowest similarity of a film that is named as a reason; 0 is that of an average pair."""


class Explainer:
    """Explains answers of one release."""

    def __init__(self, release: HoldsFilms, similarity: Live[ItemSimilarity]) -> None:
        self._release = release
        self._similarity = similarity

    @property
    def _films(self) -> tuple[Film, ...]:
        return self._release.films.catalog.films

    def reasons(self, chosen: Ranked, history: WatchHistory) -> list[Reasons]:
        """One explanation per recommended film, in order. An empty history leaves the contributions."""
        liked = _not_disliked(history)
        alike = self._similarity.now.between(chosen.rows, liked)
        seen_people = {person for row in liked.tolist() for person in self._people(row)}
        return [
            self._explain(row, _added(chosen, at), liked, alike[at], seen_people)
            for at, row in enumerate(chosen.rows.tolist())
        ]

    def _explain(
        self,
        row: int,
        added: dict[str, float],
        liked: npt.NDArray[np.int64],
        alike: npt.NDArray[np.float32],
        seen_people: set[str],
    ) -> Reasons:
        nearest = np.argsort(-alike, kind="stable")[:BECAUSE_LIMIT]
        nearest = nearest[alike[nearest] >= SIMILAR_FROM]
        because = [
            Because(self._films[other].movie_id, self._films[other].title, round(float(similarity), 4))
            for other, similarity in zip(liked[nearest].tolist(), alike[nearest].tolist(), strict=True)
        ]
        their_genres = {genre for other in liked[nearest].tolist() for genre in self._films[other].genres}
        genres = [genre for genre in self._films[row].genres if genre in their_genres]
        people = [person for person in self._people(row) if person in seen_people]
        return Reasons(added, because, genres, people, sentence([film.title for film in because], genres, people))

    def _people(self, row: int) -> list[str]:
        film = self._films[row]
        return list(dict.fromkeys(person for person in (film.director, *film.cast) if person))


def _added(chosen: Ranked, at: int) -> dict[str, float]:
    """What each source adds to a film's score, and the hour and the re-ranker where they had a part."""
    values = chosen.contributions[at].tolist()
    parts = (*SOURCES, PART)[: len(values)]  # the hour's column is there where it adds something
    added = dict(zip(parts, values, strict=True))
    if chosen.corrections is not None:
        added[MLP] = float(chosen.corrections[at])
    return {name: round(value, 6) for name, value in added.items()}


def _not_disliked(history: WatchHistory) -> npt.NDArray[np.int64]:
    """Rows of the newest films that were not disliked, each once."""
    kept = not_disliked(history.ratings[-HISTORY_LIMIT:])
    return np.unique(history.item_rows[-HISTORY_LIMIT:][kept])


def sentence(because: list[str], genres: list[str], people: list[str]) -> str:
    """One sentence: the most similar film, shared genres and people; popularity when there is nothing else."""
    if not because:
        return f"With {people[0]}, whom you have seen before." if people else "Popular with many people."
    shared = f", which shares {_listed(genres)} with it" if genres else ""
    with_people = f", with {_listed(people[:2])}" if people else ""
    return f"Because you watched {because[0]}{shared}{with_people}."


def _listed(words: list[str]) -> str:
    return " and ".join(filter(None, [", ".join(words[:-1]), words[-1]]))
