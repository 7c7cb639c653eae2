"""Why a film is recommended."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from bento.recommender.catalogue.similarity import live_similarity
from bento.recommender.ranking.explanations import Explainer, sentence
from bento.recommender.retrieval.candidates import Ranked
from bento.release.film_table import FilmTable, Live
from features.catalog import Catalog, Film
from features.history import WatchHistory
from features.sources import FUSED_WIDTH, SOURCES, source_slices
from tests.recommender.world import World

CATALOG = Catalog(
    [
        Film(10, "Alien", genres=("Horror", "Sci-Fi"), director="Scott", cast=("Weaver", "Holm")),
        Film(20, "Aliens", genres=("Action", "Sci-Fi"), director="Cameron", cast=("Weaver",)),
        Film(30, "Titanic", genres=("Romance",), director="Cameron"),
        Film(40, "Airplane", genres=("Comedy",)),
    ]
)


@dataclass
class Shelf:
    films: FilmTable
    lives: list[Live[Any]] = field(default_factory=list)


@pytest.fixture
def explainer() -> Explainer:
    """Text vectors only: the two Alien films point the same way, Titanic half, Airplane elsewhere."""
    vectors = np.zeros((4, FUSED_WIDTH), dtype=np.float32)
    text = source_slices()["text"].start
    vectors[0, text : text + 2] = 1, 0
    vectors[1, text : text + 2] = 2, 0
    vectors[2, text : text + 2] = 3, 4  # cosine 3/5
    vectors[3, text : text + 2] = 0, 1
    shelf = Shelf(FilmTable(CATALOG, np.ones(4, np.float32), vectors, None, 4))
    return Explainer(shelf, live_similarity(shelf))


def ranked(*rows: int) -> Ranked:
    contributions = np.zeros((len(rows), len(SOURCES)), dtype=np.float32)
    contributions[:, 0], contributions[:, 3] = 0.5, -0.25
    return Ranked(np.array(rows), contributions.sum(axis=1), contributions)


def history(*rows: int, ratings: tuple[float, ...] = ()) -> WatchHistory:
    n = len(rows)
    return WatchHistory(np.array(rows, np.int64), np.array(ratings or [0] * n, np.float32), np.zeros(n, np.int64))


def test_the_nearest_films_of_the_history_come_first(explainer: Explainer) -> None:
    (reasons,) = explainer.reasons(ranked(1), history(3, 2, 0))
    assert [(why.title, why.similarity) for why in reasons.because] == [("Alien", 1.0), ("Titanic", 0.6)]


def test_shared_genres_and_people_are_named(explainer: Explainer) -> None:
    (reasons,) = explainer.reasons(ranked(1), history(0, 2))
    assert reasons.shared_genres == ["Sci-Fi"]
    assert reasons.shared_people == ["Cameron", "Weaver"]


def test_contributions_are_named_and_add_up_to_the_score(explainer: Explainer) -> None:
    (reasons,) = explainer.reasons(ranked(1), history(0))
    assert reasons.contributions == {source: {0: 0.5, 3: -0.25}.get(at, 0.0) for at, source in enumerate(SOURCES)}
    assert sum(reasons.contributions.values()) == ranked(1).scores[0]


def test_a_disliked_film_is_no_reason(explainer: Explainer) -> None:
    (reasons,) = explainer.reasons(ranked(1), history(0, 2, ratings=(1.0, 4.0)))
    assert [why.title for why in reasons.because] == ["Titanic"]
    assert reasons.shared_people == ["Cameron"]


def test_without_a_history_there_is_nothing_to_be_like(explainer: Explainer) -> None:
    (reasons,) = explainer.reasons(ranked(1), history())
    assert (reasons.because, reasons.shared_genres, reasons.shared_people) == ([], [], [])


async def test_an_answer_explains_itself_when_asked(world: World) -> None:
    plain = await world.ask('{"history": [202, 203], "top_k": 2}')
    assert "reasons" not in plain.recommendations[0]
    explained = await world.ask('{"history": [202, 203], "top_k": 2, "explain": true}')
    for film in explained.recommendations:
        reasons = film["reasons"]
        assert isinstance(reasons, dict)
        # Rounding to 6 digits moves each of seven terms and the sum by at most half a millionth.
        assert sum(reasons["contributions"].values()) == pytest.approx(film["score"], abs=4e-6)
        assert {why["movie_id"] for why in reasons["because"]} == {202, 203}
        assert reasons["shared_genres"] == ["Horror"]


async def test_a_cold_start_explains_itself_by_popularity(world: World) -> None:
    answered = await world.ask('{"top_k": 1, "explain": true}')
    assert answered.recommendations[0]["reasons"] == {
        "contributions": {source: float(source == "popularity") for source in SOURCES},
        "because": [],
        "shared_genres": [],
        "shared_people": [],
        "text": "Popular with many people.",
    }


@pytest.mark.parametrize(
    ("because", "genres", "people", "text"),
    [
        (["Alien"], [], [], "Because you watched Alien."),
        (["Alien", "Jaws"], ["Sci-Fi"], [], "Because you watched Alien, which shares Sci-Fi with it."),
        (
            ["Alien"],
            ["Horror", "Sci-Fi"],
            ["Scott", "Weaver", "Holm"],
            "Because you watched Alien, which shares Horror and Sci-Fi with it, with Scott and Weaver.",
        ),
        ([], [], ["Scott"], "With Scott, whom you have seen before."),
        ([], [], [], "Popular with many people."),
    ],
)
def test_reasons_are_put_in_one_sentence(because: list[str], genres: list[str], people: list[str], text: str) -> None:
    assert sentence(because, genres, people) == text
