"""The release's index and Qdrant against looking at every film: filters, films seen, extra scores, all at once."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from qdrant_client import QdrantClient

from bento.inference.core.errors import BackendFailed
from bento.recommender.catalogue.filters import FilmFilter
from bento.recommender.retrieval.qdrant_search import QdrantSearch
from bento.recommender.retrieval.release_search import IndexSearch, Ranked, ReleaseQuestion, ReleaseSearch
from bento.recommender.schemas import Filters, GenreFilter
from bento.release.film_table import FilmTable
from export.index.faiss_index import build_index
from export.python_models.film_index import FilmIndex
from export.python_models.fused_search import FusedSearch, Question
from features.catalog import Catalog, Film
from features.sources import FUSED_WIDTH, SOURCE_WIDTHS, source_slices
from tests.recommender.qdrant_stand_in import StandIn, running_stand_in

N_FILMS = 60
SUMMATION = 1e-3
"""Sums of 385 float32 products of size 1: their last bits depend on the order of summation."""

SOME_GENRES = ("Comedy", "Drama", "Film-Noir", "War")
PEOPLE = ("Ann Field", "Bo Sea", "Ann Marie Sea", "Çelik Öz")
COUNTRIES = ("USA", "France, USA", "Norway", "")


def films() -> Catalog:
    random = np.random.default_rng(3)
    return Catalog(
        Film(
            10 + row,
            f"Film {row}",
            year=None if row % 7 == 0 else 1990 + row % 12,
            genres=tuple(random.choice(SOME_GENRES, random.integers(0, 4), replace=False).tolist()),
            director=PEOPLE[row % 4] if row % 5 else "",
            cast=tuple(random.choice(PEOPLE, random.integers(0, 3), replace=False).tolist()),
            country=COUNTRIES[row % 4],
        )
        for row in range(N_FILMS)
    )


CATALOG = films()
VECTORS = np.random.default_rng(4).standard_normal((N_FILMS, FUSED_WIDTH)).astype(np.float32)
MEANS = np.where(np.arange(N_FILMS) % 6 == 0, 0, 2.5 + np.arange(N_FILMS) % 5 * 0.3).astype(np.float32)
TABLE = FilmTable(CATALOG, np.ones(N_FILMS, np.float32), VECTORS, None, N_FILMS)
FILTER = FilmFilter(CATALOG, MEANS)


def by_index() -> IndexSearch:
    """The retrieval model's own search behind the name that the recommender knows it by."""
    search = FusedSearch(FilmIndex(build_index("flat", VECTORS).index), tuple(SOURCE_WIDTHS.values()))

    async def infer(model: str, inputs: dict[str, Any], deadline_ns: int) -> dict[str, Any]:
        assert model == "retrieval"
        asked = dict(inputs, extra_weight=inputs["extra_weight"][:, 0], top_k=inputs["top_k"][:, 0].astype(np.int64))
        (answer,) = search.answer([Question(**asked)])
        return {"rows": answer.rows, "scores": answer.scores, "contributions": answer.contributions}

    return IndexSearch(infer)


@pytest.fixture(scope="module")
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    with asyncio.Runner() as runner:
        yield runner.get_loop()


@pytest.fixture(scope="module", params=["index", "qdrant", "qdrant over HTTP"])
def search(
    request: pytest.FixtureRequest, loop: asyncio.AbstractEventLoop, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ReleaseSearch]:
    if request.param == "index":
        yield by_index()
        return
    qdrant, folder = QdrantSearch(TABLE, MEANS, "films"), tmp_path_factory.mktemp("qdrant") / "store"
    with running_stand_in(StandIn()) if request.param == "qdrant over HTTP" else nullcontext() as url:
        loop.run_until_complete(qdrant.open(url, folder))
        yield qdrant
        loop.run_until_complete(qdrant.close())


names = st.lists(st.sampled_from([*SOME_GENRES, "film-noir", "Horror"]), max_size=2)
filters_of = st.builds(
    Filters,
    genres=st.none() | names | st.builds(GenreFilter, any=names, all=names),
    exclude_genres=names,
    min_year=st.none() | st.integers(1985, 2005),
    max_year=st.none() | st.integers(1985, 2005),
    people=st.lists(st.sampled_from(["ann", "Sea", "ann field", "celik", "nobody"]), max_size=2),
    country=st.none() | st.sampled_from(["usa", "France", "Norway", "Japan"]),
    min_rating=st.none() | st.sampled_from([0.0, 2.5, 2.8, 3.1, 3.7, 4.5]),
)
rows_of_films = st.lists(st.integers(0, N_FILMS - 1), max_size=15, unique=True)


@st.composite
def questions(draw: st.DrawFn) -> ReleaseQuestion:
    filters = draw(st.none() | filters_of)
    extra = draw(st.lists(st.integers(-1, N_FILMS - 1), max_size=10))
    scores = draw(st.lists(st.floats(-40, 40, width=32), min_size=len(extra), max_size=len(extra)))
    return ReleaseQuestion(
        query=np.random.default_rng(draw(st.integers(0, 9))).standard_normal(FUSED_WIDTH).astype(np.float32),
        extra_rows=np.array(extra, dtype=np.int64),
        extra_scores=np.array(scores, dtype=np.float32),
        extra_weight=draw(st.sampled_from([-1.0, 0.0, 0.5, 2.0])),
        k=draw(st.integers(1, N_FILMS + 5)),
        excluded_rows=np.array(draw(rows_of_films), dtype=np.int64),
        allowed_rows=None if filters is None else np.flatnonzero(FILTER.mask(filters)),
        # By facts where there are some, else by rows: a text says more than facts do.
        filters=filters if draw(st.booleans()) else None,
        deadline_ns=0,
    )


def brute_force(question: ReleaseQuestion) -> npt.NDArray[np.float64]:
    """(N,) the total score of every film; -inf where it may not be returned."""
    scores = VECTORS.astype(np.float64) @ question.query
    for row, score in zip(question.extra_rows, question.extra_scores, strict=True):
        if row >= 0:
            scores[row] += question.extra_weight * score
    if question.allowed_rows is not None:
        scores[np.setdiff1d(np.arange(N_FILMS), question.allowed_rows)] = -np.inf
    scores[question.excluded_rows] = -np.inf
    return scores


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(question=questions())
def test_the_best_films_that_pass_come_back_and_as_many_as_there_are(
    search: ReleaseSearch, loop: asyncio.AbstractEventLoop, question: ReleaseQuestion
) -> None:
    ranked: Ranked = loop.run_until_complete(search.search(question))
    total = brute_force(question)
    possible = int(np.isfinite(total).sum())
    assert len(ranked.rows) == min(question.k, possible)
    assert len(set(ranked.rows.tolist())) == len(ranked.rows)
    best = np.sort(total[np.isfinite(total)])[::-1][: len(ranked.rows)]
    np.testing.assert_allclose(total[ranked.rows], best, atol=SUMMATION)  # films of equal score stand for one another
    np.testing.assert_allclose(ranked.scores, best, atol=SUMMATION)
    np.testing.assert_allclose(ranked.contributions.sum(axis=1), ranked.scores, atol=SUMMATION)
    for source, columns in source_slices().items():
        at = list(SOURCE_WIDTHS).index(source)
        expected = VECTORS[ranked.rows][:, columns] @ question.query[columns]
        np.testing.assert_allclose(ranked.contributions[:, at], expected, atol=SUMMATION)


def plain_question(**changes: Any) -> ReleaseQuestion:
    nothing = np.empty(0, dtype=np.int64)
    said: dict[str, Any] = {
        "query": VECTORS[7], "extra_rows": nothing, "extra_scores": nothing.astype(np.float32), "extra_weight": 1.0,
        "k": 5, "excluded_rows": nothing, "allowed_rows": None, "filters": None, "deadline_ns": 0,
    }  # fmt: skip
    return ReleaseQuestion(**said | changes)


async def test_qdrant_keeps_the_films_between_starts(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="marquee.qdrant")
    for uploaded in (len(VECTORS), 0):
        caplog.clear()
        qdrant = QdrantSearch(TABLE, MEANS, "films")
        await qdrant.open(None, tmp_path / "store")
        assert f"films, {uploaded} films uploaded" in caplog.text
        assert (await qdrant.search(plain_question())).rows[0] == 7
        await qdrant.close()


async def test_a_server_is_sent_the_films_once_and_told_what_filters_ask_for(tmp_path: Path) -> None:
    stand_in = StandIn()
    with running_stand_in(stand_in) as url:
        for _ in range(2):
            qdrant = QdrantSearch(TABLE, MEANS, "films")
            await qdrant.open(url, tmp_path / "unused")
            await qdrant.close()
    assert stand_in.asked.count("PUT /collections/films/points") == 1
    assert set(stand_in.indexed) == {"genres", "people", "countries", "year", "rating"}


async def test_a_server_that_goes_away_is_a_failed_search(tmp_path: Path) -> None:
    qdrant = QdrantSearch(TABLE, MEANS, "films")
    with running_stand_in(StandIn()) as url:
        await qdrant.open(url, tmp_path / "unused")
        found = await asyncio.gather(*(qdrant.search(plain_question(query=VECTORS[row])) for row in range(40)))
    assert [ranked.rows[0] for ranked in found] == list(range(40))  # side by side, each its own answer
    with pytest.raises(BackendFailed, match="qdrant: "):
        await qdrant.search(plain_question())
    await qdrant.close()


async def test_a_film_set_cut_off_half_way_is_made_whole(tmp_path: Path) -> None:
    qdrant = QdrantSearch(TABLE, MEANS, "films")
    await qdrant.open(None, tmp_path / "store")
    await qdrant.close()
    store = QdrantClient(path=str(tmp_path / "store"))
    store.delete("films", points_selector=[7, 8])
    store.close()
    again = QdrantSearch(TABLE, MEANS, "films")
    await again.open(None, tmp_path / "store")
    assert (await again.search(plain_question())).rows[0] == 7
    await again.close()


async def test_a_server_that_lost_the_films_is_a_failed_search(tmp_path: Path) -> None:
    qdrant, stand_in = QdrantSearch(TABLE, MEANS, "films"), StandIn()
    with running_stand_in(stand_in) as url:
        await qdrant.open(url, tmp_path / "unused")
        stand_in.store.delete_collection("films")
        with pytest.raises(BackendFailed, match="qdrant: "):
            await qdrant.search(plain_question())
        await qdrant.close()
