"""The sample release's `hybrid` in the inference server, asked all kinds of questions, and its models one by one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence

import numpy as np
import pytest
import pytest_asyncio

from bento.inference.core.options import ServerOptions
from bento.inference.server import InferenceServer
from bento.recommender.retrieval.candidates import Models, Ranked, RetrievalRequest
from bento.recommender.retrieval.deadlines import Deadlines
from bento.release.loading import Release, load_release
from features.history import WatchHistory
from features.sources import SOURCES
from tests.conftest import SampleRelease

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900)]

QUESTIONS = 320
TOGETHER = 32
PATIENT = Deadlines(300, 300, 1_200)

SAME_SCORE = 1e-4
"""Scores are of size 1 to 5; float32 sums in another order differ by 1e-6."""


@pytest.fixture
def release(sample_release: SampleRelease) -> Release:
    return load_release(sample_release.repository, sample_release.number)


@pytest_asyncio.fixture
async def server(release: Release) -> AsyncIterator[InferenceServer]:
    options = ServerOptions(
        repositories=(release.repository,),
        model_control_mode="explicit",
        load_models=tuple(name for name in release.servable_models() if not name.endswith("_torchscript")),
        trust_python_models=True,
        release=release.number,
        device="cpu",
    )
    running = await InferenceServer.start(options)
    yield running
    await running.close()


def a_question(release: Release, random: np.random.Generator) -> tuple[WatchHistory, RetrievalRequest]:
    """A history of a person of the release or a random one, by usual or random weights, with all that can be wished."""
    n_films, length = release.films.n_released, int(random.integers(1, 60))
    history = WatchHistory(
        random.choice(n_films, length, replace=False),
        (random.integers(0, 11, length) / 2).astype(np.float32),
        np.sort(random.integers(10**9, 10**9 + 10**8, length)),
    )
    weights = release.weights
    if random.random() < 0.5:
        weights = (random.random(len(SOURCES)) * (random.random(len(SOURCES)) < 0.6)).astype(np.float32)
        weights[random.integers(len(SOURCES))] = 1
    allowed = np.sort(random.choice(n_films, 90, replace=False)) if random.random() < 0.3 else None
    excluded = np.unique(np.concatenate([history.item_rows, random.integers(0, n_films, random.integers(0, 80))]))
    explain = bool(random.random() < 0.4)
    return history, RetrievalRequest(weights, int(random.choice([1, 10, 50, 200])), excluded, allowed, explain=explain)


async def one_by_one(models: Models, history: WatchHistory, request: RetrievalRequest) -> Ranked:
    encoded = await models.encode(history)
    ranked = await models.retrieve(encoded, request)
    assert encoded.missing == []
    assert ranked is not None
    return ranked


def assert_same(given: Ranked, expected: Ranked, request: RetrievalRequest) -> None:
    assert given.scores.shape == expected.scores.shape
    np.testing.assert_allclose(given.scores, expected.scores, atol=SAME_SCORE)
    assert set(given.rows) == set(expected.rows)
    if request.explain:
        order = [int(np.flatnonzero(expected.rows == row)[0]) for row in given.rows]
        np.testing.assert_allclose(given.contributions, expected.contributions[order], atol=SAME_SCORE)


async def test_one_inference_finds_what_the_models_one_by_one_find(release: Release, server: InferenceServer) -> None:
    at_once = Models(server, release.number, PATIENT, hybrid_films=release.films.n_released)
    plain = Models(server, release.number, PATIENT)
    random = np.random.default_rng(0)
    questions = [a_question(release, random) for _ in range(QUESTIONS)]
    for start in range(0, QUESTIONS, TOGETHER):
        batch: Sequence[tuple[WatchHistory, RetrievalRequest]] = questions[start : start + TOGETHER]
        found = await asyncio.gather(*(at_once.find(*question) for question in batch))
        expected = await asyncio.gather(*(one_by_one(plain, *question) for question in batch))
        for one, other, (_, request) in zip(found, expected, batch, strict=True):
            assert one is not None
            assert one.missing == []
            assert_same(one.ranked, other, request)
