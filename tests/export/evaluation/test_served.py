"""Measuring what was exported and what is served."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest
from typer.testing import CliRunner

from export.__main__ import app
from export.errors import AnswerUnusable, ServerNotReady
from export.evaluation.client import RequestKind, request_bodies, request_recommendations
from export.evaluation.exported_models import exported_models
from export.evaluation.served import evaluate_exported, joined, request_kinds
from export.evaluation.server_process import running_server
from export.release.manifest import read_manifest
from features.catalog import Catalog, Film
from features.history import WatchHistory
from tests.export.tiny_world import TinyWorld
from training.data.splits import Protocol, Split, hold_out
from training.ranking.scoring import source_scores

CATALOG = Catalog(Film(movie_id=movie_id, title=f"film {movie_id}") for movie_id in (10, 20, 30, 40))
SAME_SCORE = 1e-4
"""In units of a score's spread: another runtime adds float32 numbers in another order."""


def one_person(protocol: Protocol = Protocol.LAST5) -> Split:
    """Person 2 watched films 30 and 10 and is to be told of film 20."""
    history = WatchHistory(np.array([2, 0]), np.array([4.0, 0.5], np.float32), np.array([1_000, 2_000]))
    nothing: Any = None
    return Split(protocol, nothing, np.array([2]), (history,), (np.array([1]),), (np.array([5.0], np.float32),))


@contextmanager
def answering(answer: Callable[[dict[str, Any]], tuple[int, dict[str, Any]]]) -> Iterator[str]:
    """The address of a server that answers POST requests by a function."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = orjson.loads(self.rfile.read(int(self.headers["Content-Length"])))
            status, value = answer(body)
            encoded = orjson.dumps(value)
            self.send_response(status)
            self.send_header("Content-Length", str(len(encoded)))
            self.end_headers()
            self.wfile.write(encoded)

        def log_message(self, *arguments: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def hybrid_answer(*movie_ids: int, degraded: tuple[str, ...] = ()) -> dict[str, Any]:
    films = [{"movie_id": movie_id} for movie_id in movie_ids]
    return {"recommendations": films, "strategy": "hybrid", "degraded": list(degraded)}


def test_a_stranger_brings_films_stars_and_times() -> None:
    assert list(request_bodies(one_person(), RequestKind.HISTORY, CATALOG, ("a", "b", "c"), 5)) == [
        {
            "history": [
                {"movie_id": 30, "rating": 4.0, "timestamp": 1_000},
                {"movie_id": 10, "rating": 0.5, "timestamp": 2_000},
            ],
            "top_k": 5,
        }
    ]


def test_the_rerankers_order_is_asked_for_by_name() -> None:
    plain, by_mlp = (
        next(request_bodies(one_person(), kind, CATALOG, ("a", "b", "c"), 5))
        for kind in (RequestKind.HISTORY, RequestKind.HISTORY_BY_MLP)
    )

    assert by_mlp == {**plain, "scorer": "mlp"}


def test_bare_ids_come_oldest_first() -> None:
    asked = list(request_bodies(one_person(), RequestKind.MOVIE_IDS, CATALOG, ("a", "b", "c"), 5))

    assert asked == [{"history": [30, 10], "top_k": 5}]


def test_a_known_person_brings_nothing_but_an_id() -> None:
    assert list(request_bodies(one_person(), RequestKind.USER_ID, CATALOG, ("a", "b", "c"), 5)) == [
        {"user_id": "c", "top_k": 5}
    ]


def test_nobody_is_known_under_newuser() -> None:
    assert RequestKind.USER_ID in request_kinds(Protocol.LAST5)
    assert RequestKind.USER_ID not in request_kinds(Protocol.NEWUSER)


def test_answers_come_in_the_order_of_the_questions_and_unfilled_places_are_minus_one() -> None:
    with answering(lambda body: (200, hybrid_answer(*([10, 20, 30, 40][: body["top_k"]])))) as url:
        rows = list(request_recommendations(url, iter([{"top_k": k} for k in (1, 3, 2, 4)]), CATALOG, 3))

    assert [row.tolist() for row in rows] == [[0, -1, -1], [0, 1, 2], [0, 1, -1], [0, 1, 2]]


@pytest.mark.parametrize(
    ("status", "answer", "message"),
    [
        (422, {"error": "top_k"}, r"HTTP 422: .*top_k"),
        (200, hybrid_answer(10, degraded=("ease",)), r"answered by hybrid without \['ease'\]"),
        (200, hybrid_answer(10) | {"strategy": "cold_start"}, r"answered by cold_start"),
    ],
)
def test_an_answer_without_all_parts_is_not_measured(status: int, answer: dict[str, Any], message: str) -> None:
    with answering(lambda body: (status, answer)) as url, pytest.raises(AnswerUnusable, match=message):
        list(request_recommendations(url, iter([{"top_k": 1}]), CATALOG, 3))


def test_exported_files_score_films_as_the_trained_models_do(world: TinyWorld, exported: Path) -> None:
    _, histories = split_histories(world)

    trained = source_scores(world.trained.models, histories)
    from_files = source_scores(exported_models(exported, 1), histories)

    np.testing.assert_allclose(from_files, trained, atol=SAME_SCORE)


def split_histories(world: TinyWorld) -> tuple[np.ndarray, tuple[WatchHistory, ...]]:
    split = hold_out(world.dataset.events, Protocol.LAST1)
    return split.people, split.histories


@pytest.mark.integration
def test_a_server_without_a_release_says_why_it_is_not_ready(tmp_path: Path) -> None:
    with pytest.raises(ServerNotReady, match="last words"), running_server(tmp_path, 1):
        pass


def test_the_command_teaches_and_refuses_an_unknown_protocol() -> None:
    runner = CliRunner()

    assert "held-out events" in runner.invoke(app, ["evaluate", "--help"]).stdout
    refused = runner.invoke(app, ["evaluate", "--protocol", "tomorrow"])
    assert refused.exit_code == 2
    assert "tomorrow" in refused.stderr


def test_dot_and_mlp_are_scored_from_their_files_and_stand_beside_what_was_served(
    world: TinyWorld, exported: Path
) -> None:
    split = hold_out(world.dataset.events, Protocol.LAST1)

    offline = evaluate_exported(exported, 1, read_manifest(exported).releases[1], split)
    dot, mlp = offline.table["hybrid offline"], offline.table["hybrid by mlp offline"]
    report = joined(offline, {"hybrid": dot, "hybrid by mlp": mlp}).report()

    assert {"hybrid", "hybrid by mlp", "hybrid offline", "hybrid by mlp offline"} <= set(report["sources"])
    gain = (mlp.per_person["ndcg@10"] - dot.per_person["ndcg@10"]).mean()
    assert report["leads_over_dot_ndcg@10"]["hybrid by mlp"]["mean"] == pytest.approx(gain)
