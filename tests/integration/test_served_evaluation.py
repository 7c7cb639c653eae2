"""The running server recommends what the exported encoders rank, so that offline figures hold for what is served."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from export.evaluation.client import RequestKind, request_bodies, request_recommendations
from export.evaluation.exported_models import exported_models
from export.release.manifest import read_manifest
from features.scorers import CANDIDATES
from tests.conftest import Service
from training.data.dataset import Dataset, read_dataset
from training.data.location import locate_data
from training.data.splits import Protocol, Split, hold_out, in_time_order, of_people, split_by_person
from training.ranking.candidates import candidate_lists
from training.ranking.metrics import rank
from training.ranking.scoring import blend, source_scores

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900)]

PEOPLE, K = 40, 20

SAME_SCORE = 1e-3
"""Of scores that spread over about 1: the server adds the same float32 products in another order."""


@pytest.fixture(scope="module")
def dataset(service: Service) -> Dataset:
    return read_dataset(locate_data("sample", service.release.home))


@pytest.fixture(scope="module")
def split(dataset: Dataset) -> Split:
    whole = hold_out(dataset.events, Protocol.LAST1)
    return of_people(whole, np.arange(0, len(whole.people), len(whole.people) // PEOPLE)[:PEOPLE])


def offline_scores(service: Service, split: Split) -> np.ndarray:
    """(P, N) what the release's files say, without a server; the films seen are -inf."""
    release = read_manifest(service.release.repository).releases[service.release.number]
    models = exported_models(service.release.repository, service.release.number)
    scores = blend(source_scores(models, split.histories), release.fusion.weights)
    for person, history in enumerate(split.histories):
        scores[person, history.item_rows] = -np.inf
    return scores


def test_a_stranger_with_a_history_gets_the_offline_ranking(service: Service, dataset: Dataset, split: Split) -> None:
    bodies = request_bodies(split, RequestKind.HISTORY, dataset.catalog, dataset.user_ids, K)

    served = np.stack(list(request_recommendations(service.url, bodies, dataset.catalog, K)))

    scores = offline_scores(service, split)
    best = np.take_along_axis(scores, rank(scores, [np.zeros(0, dtype=np.int64)] * len(scores), K), axis=1)
    np.testing.assert_allclose(np.take_along_axis(scores, served, axis=1), best, atol=SAME_SCORE)


def test_the_served_reranker_orders_films_as_its_file_does(service: Service, dataset: Dataset, split: Split) -> None:
    bodies = request_bodies(split, RequestKind.HISTORY_BY_MLP, dataset.catalog, dataset.user_ids, K)

    served = np.stack(list(request_recommendations(service.url, bodies, dataset.catalog, K)))

    release = read_manifest(service.release.repository).releases[service.release.number]
    models = exported_models(service.release.repository, service.release.number)
    lists = candidate_lists(source_scores(models, split.histories), split.histories, release.fusion.weights, CANDIDATES)
    scores = lists.scored_by(models.encoders["mlp_scorer"])
    film, place = np.nonzero((lists.rows[:, None] == served[:, :, None]).reshape(-1, CANDIDATES))
    assert len(film) == served.size  # all come from the candidates
    given = scores[np.arange(len(scores)).repeat(K), place].reshape(-1, K)
    np.testing.assert_allclose(given, np.sort(scores, axis=1)[:, : -K - 1 : -1], atol=SAME_SCORE)


def test_a_known_person_gets_what_a_stranger_with_their_history_gets(service: Service, dataset: Dataset) -> None:
    people, histories = split_by_person(in_time_order(dataset.events))
    films = tuple(history.item_rows for history in histories)
    everybody = Split(Protocol.LAST1, dataset.events, people, histories, films, films)  # targets: nothing looks at them
    some = of_people(everybody, np.arange(len(people) // 2, len(people) // 2 + PEOPLE))

    def served(kind: RequestKind) -> npt.NDArray[np.int64]:
        bodies = request_bodies(some, kind, dataset.catalog, dataset.user_ids, K)
        return np.stack(list(request_recommendations(service.url, bodies, dataset.catalog, K)))

    by_id, by_history = served(RequestKind.USER_ID), served(RequestKind.HISTORY)

    np.testing.assert_array_equal(by_id, by_history)
