"""Whole trainings on worlds whose right answer is known."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from rich.progress import Progress

from features.history import history_tensors
from features.sources import SOURCES
from tests.training.fitted_models import fit_models
from tests.training.worlds import checkerboard, events_of, markov, no_content, noise, planted_tastes, world
from training.checkpoint import FACTS_FILE, Checkpoint, CheckpointFormatError, checkpoint_folder
from training.content.encode import ContentOptions
from training.data.dataset import Dataset
from training.data.errors import TooLittleToLearn
from training.data.splits import Protocol, hold_out, in_time_order, positions_from_end, select, split_by_person
from training.evaluation.evaluate import BY_MLP, HYBRID, evaluate
from training.fit.parallel import Callbacks
from training.fit.trainer import FittedModels
from training.models.mlp_scorer import MlpScorerConfig
from training.models.sequence import SequenceConfig
from training.models.two_tower import TwoTowerConfig
from training.options import TrainOptions
from training.ranking.scoring import source_scores
from training.train import fit_release, train

QUICK = TrainOptions(
    content=ContentOptions(posters=False),
    sequence=SequenceConfig(
        epochs=8, negatives=64, windows_per_batch=16, learning_rate=5e-3, dropout=0.0, horizon=1, own_dropout=0.0,
        hidden_share=0.0, plain_share=0.0,
    ),
    two_tower=TwoTowerConfig(
        epochs=8, examples_ratio=2.5, batch_size=128, extra_negatives=64, learning_rate=5e-3, dropout=0.0,
        horizon=1, hidden_share=0.0, plain_share=0.0,
    ),
    mlp_scorer=MlpScorerConfig(epochs=1, folds=2, earlier_lists=1),
)  # fmt: skip
"""Enough for worlds of a few thousand events."""


def for_epochs(epochs: int, **changes: object) -> TrainOptions:
    """QUICK with this many epochs, and other options changed."""
    sequence, towers = replace(QUICK.sequence, epochs=epochs), replace(QUICK.two_tower, epochs=epochs)
    return replace(QUICK, sequence=sequence, two_tower=towers, **changes)  # type: ignore[arg-type]


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)  # nets this small only lose time to a second one


def fitted(dataset: Dataset, options: TrainOptions = QUICK) -> FittedModels:
    return fit_models(dataset.catalog, in_time_order(dataset.events), no_content(len(dataset.catalog)), options)


def released(dataset: Dataset, options: TrainOptions = QUICK) -> Checkpoint:
    return fit_release(dataset, no_content(len(dataset.catalog)), options, Progress(disable=True))


@pytest.fixture(scope="module")
def checkerboard_scores() -> tuple[np.ndarray, np.ndarray]:
    events, hidden = checkerboard()
    dataset = world(events, 40)
    _, histories = split_by_person(in_time_order(events))
    scores = source_scores(fitted(dataset), histories)
    for person, history in enumerate(histories):
        scores[:, person, history.item_rows] = -np.inf
    return scores, hidden


@pytest.mark.parametrize("source", ["sequence", "two_tower", "ials", "ease"])
def test_checkerboard_recommends_the_one_film_left_of_its_colour(
    checkerboard_scores: tuple[np.ndarray, np.ndarray], source: str
) -> None:
    scores, hidden = checkerboard_scores

    first = scores[SOURCES.index(source)].argmax(axis=1)

    assert (first == hidden).mean() > 0.95


def test_popularity_cannot_solve_the_checkerboard(checkerboard_scores: tuple[np.ndarray, np.ndarray]) -> None:
    scores, hidden = checkerboard_scores

    assert (scores[SOURCES.index("popularity")].argmax(axis=1) == hidden).mean() < 0.3


@pytest.fixture(scope="module")
def markov_table() -> dict[str, float]:
    split = hold_out(markov(), Protocol.LAST1)
    models = fit_models(world(split.train, 60).catalog, split.train, no_content(60), QUICK)
    table = evaluate(models, split, dict.fromkeys(SOURCES, 1 / len(SOURCES)), ablation=False).table
    return {name: metrics.mean("mrr@5") for name, metrics in table.items()}


@pytest.mark.parametrize("source", ["sequence", "two_tower"])
def test_markov_world_is_predicted_by_the_last_film(markov_table: dict[str, float], source: str) -> None:
    assert markov_table[source] > 0.9


def test_popularity_cannot_follow_the_markov_chain(markov_table: dict[str, float]) -> None:
    assert markov_table["popularity"] < 0.15


@pytest.fixture(scope="module")
def planted() -> tuple[Checkpoint, np.ndarray]:
    events, taste_of_film = planted_tastes()
    return released(world(events, 120), for_epochs(3, hold_out=Protocol.LAST5)), taste_of_film


def test_planted_tastes_are_recommended_to_people_never_seen(planted: tuple[Checkpoint, np.ndarray]) -> None:
    checkpoint, taste_of_film = planted
    rng = np.random.default_rng(5)
    weights = np.array([checkpoint.fusion_weights[source] for source in SOURCES])
    for taste in range(4):
        films = rng.choice(np.flatnonzero(taste_of_film == taste), 6, replace=False)
        events = events_of([(0, int(film), 4.0, 1_600_000_000 + place) for place, film in enumerate(films)])
        scores = np.tensordot(weights, source_scores(checkpoint.models, split_by_person(events)[1])[:, 0], axes=1)
        scores[films] = -np.inf
        assert (taste_of_film[np.argsort(-scores)[:10]] == taste).mean() >= 0.9


def test_popularity_does_not_pass_the_planted_world(planted: tuple[Checkpoint, np.ndarray]) -> None:
    sources = planted[0].metrics["test"]["sources"]

    assert sources[HYBRID]["ndcg@10"]["mean"] > 2 * sources["popularity"]["ndcg@10"]["mean"]


def test_report_says_what_was_measured_on_whom(planted: tuple[Checkpoint, np.ndarray]) -> None:
    report = planted[0].metrics["test"]

    assert (report["protocol"], report["people"]) == ("last5", 320)
    without = {f"hybrid without {source}" for source in SOURCES}
    assert set(report["sources"]) == {*SOURCES, HYBRID, BY_MLP, *without}


def test_the_reranker_is_measured_on_people_it_did_not_learn_from(planted: tuple[Checkpoint, np.ndarray]) -> None:
    """Tastes are all that is planted, and the blend knows them: the re-ranker neither adds nor loses much."""
    metrics = planted[0].metrics

    reranking = metrics["validation"]["reranking"]
    assert (reranking["people"], reranking["candidates"]) == (320, 200)
    assert reranking["dot"] == metrics["validation"]["sources"][HYBRID]["ndcg@10"]
    lead = metrics["test"]["leads_over_dot_ndcg@10"][BY_MLP]
    assert lead["low"] <= lead["mean"] <= lead["high"]
    dot, mlp = (metrics["test"]["sources"][row]["ndcg@10"] for row in (HYBRID, BY_MLP))
    assert lead["mean"] == pytest.approx(mlp["mean"] - dot["mean"], abs=1e-9)
    assert mlp["mean"] > 0.9 * dot["mean"]


def test_facts_count_what_the_served_models_saw(planted: tuple[Checkpoint, np.ndarray]) -> None:
    facts = planted[0].facts

    assert (facts.events, facts.hold_out, facts.people) == (320 * 11, "last5", 320)


def test_nothing_can_be_learnt_from_noise() -> None:
    checkpoint = released(world(noise(), 400), for_epochs(2, hold_out=Protocol.LAST5))

    hybrid = checkpoint.metrics["test"]["sources"][HYBRID]["ndcg@10"]
    # By chance: 10 places, 5 targets among the 389 films not seen; each place hits with 5/389, so that the expected
    # DCG is 4.544 * 5/389 = .0584, over an ideal of 2.948.
    assert hybrid["mean"] == pytest.approx(4.544 * 5 / 389 / 2.948, abs=4 * hybrid["se"])


def test_held_out_events_cannot_change_the_release() -> None:
    events, _ = planted_tastes(n_people=310, length=14)
    ordered = in_time_order(events)
    altered = select(ordered, np.arange(len(ordered)))
    for newest in np.flatnonzero(positions_from_end(ordered.user_rows) == 0):  # of the five that are held out
        watched = ordered.item_rows[ordered.user_rows == ordered.user_rows[newest]]
        altered.item_rows[newest] = np.setdiff1d(np.arange(120), watched)[0]
        altered.ratings[newest] = 0.5
    options = for_epochs(1, hold_out=Protocol.LAST5)

    one, other = released(world(ordered, 120), options), released(world(altered, 120), options)

    assert one.fusion_weights == other.fusion_weights
    for name, vectors in one.item_vectors.items():
        np.testing.assert_array_equal(vectors, other.item_vectors[name])
    rerankers = (checkpoint.encoders["mlp_scorer"].state_dict() for checkpoint in (one, other))
    assert all(torch.equal(*pair) for pair in zip(*(state.values() for state in rerankers), strict=True))


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> tuple[Dataset, Path, TrainOptions, Checkpoint]:
    events, _ = planted_tastes(n_people=40, n_items=24, length=10)
    home = tmp_path_factory.mktemp("home")
    options = for_epochs(1)
    dataset = world(events, 24)
    return dataset, home, options, train(dataset, home, options)


def test_saved_training_loads_with_the_same_outputs(saved: tuple[Dataset, Path, TrainOptions, Checkpoint]) -> None:
    dataset, home, options, checkpoint = saved
    loaded = Checkpoint.load(checkpoint_folder(dataset, home, options))
    _, histories = split_by_person(in_time_order(dataset.events))
    inputs = [torch.from_numpy(column) for column in history_tensors(histories).values()]

    assert loaded.facts == checkpoint.facts
    assert loaded.fusion_weights == checkpoint.fusion_weights
    assert loaded.metrics == checkpoint.metrics
    assert loaded.catalog.sha256 == checkpoint.catalog.sha256
    for name in ("sequence_encoder", "user_tower", "ials_user", "content_profile", "ease"):
        with torch.no_grad():
            pairs = zip(loaded.encoders[name](*inputs), checkpoint.encoders[name](*inputs), strict=True)
            assert all(torch.equal(one, other) for one, other in pairs)
    candidates = [torch.zeros(40, 5, dtype=torch.int64), torch.ones(40, 5, len(SOURCES)), torch.ones(40, len(SOURCES))]
    for name in ("dot_scorer", "mlp_scorer"):
        with torch.no_grad():
            scores = (models.encoders[name](*inputs, *candidates)[0] for models in (loaded, checkpoint))
            assert torch.equal(*scores)
    for source, vectors in checkpoint.item_vectors.items():
        np.testing.assert_array_equal(loaded.item_vectors[source], vectors)


def test_finished_training_is_found_and_not_repeated(saved: tuple[Dataset, Path, TrainOptions, Checkpoint]) -> None:
    dataset, home, options, _ = saved
    marked = checkpoint_folder(dataset, home, options) / FACTS_FILE
    before = marked.stat().st_mtime_ns

    train(dataset, home, options)

    assert marked.stat().st_mtime_ns == before


def test_checkpoint_of_another_format_is_refused(
    saved: tuple[Dataset, Path, TrainOptions, Checkpoint], tmp_path: Path
) -> None:
    (tmp_path / FACTS_FILE).write_bytes(b'{"format": 99}')

    with pytest.raises(CheckpointFormatError, match="format 99, not 1: delete it and train again"):
        Checkpoint.load(tmp_path)


def test_same_seed_gives_the_same_models_and_another_does_not() -> None:
    dataset = world(planted_tastes(n_people=40, n_items=24, length=10)[0], 24)
    options = replace(
        QUICK, sequence=replace(QUICK.sequence, epochs=1, dropout=0.2), two_tower=replace(QUICK.two_tower, epochs=1)
    )  # fmt: skip

    one, again, other = fitted(dataset, options), fitted(dataset, options), fitted(dataset, replace(options, seed=1))

    for source in ("sequence", "two_tower", "ials"):
        np.testing.assert_array_equal(one.item_vectors[source], again.item_vectors[source])
        assert not np.array_equal(one.item_vectors[source], other.item_vectors[source])


def test_options_that_change_the_result_change_the_hash() -> None:
    assert replace(QUICK, device="cpu").hash == QUICK.hash
    assert replace(QUICK, seed=3).hash != QUICK.hash
    assert replace(QUICK, hold_out=Protocol.LAST1).hash != QUICK.hash


def test_training_stops_early_and_keeps_the_best_epoch() -> None:
    dataset = world(planted_tastes(n_people=40)[0], 120)
    # The networks train side by side, so each has scores of its own.
    scores: dict[str, Iterator[float]] = defaultdict(lambda: iter([0.1, 0.3, 0.2, 0.2, 0.9]))
    options = replace(
        QUICK, sequence=replace(QUICK.sequence, patience=2), two_tower=replace(QUICK.two_tower, patience=2)
    )  # fmt: skip

    models = fit_models(
        dataset.catalog, in_time_order(dataset.events), no_content(120), options,
        Callbacks(score=lambda module, vectors: next(scores[type(module).__name__])),
    )  # fmt: skip

    assert models.curves["sequence_encoder"].scores == [0.1, 0.3, 0.2, 0.2]
    assert models.curves["sequence_encoder"].best_epochs == 2


@pytest.mark.parametrize("length", [1, 5, 6])
def test_histories_too_short_to_learn_from_are_refused(length: int) -> None:
    rows = [(person, film, 4.0, 1_600_000_000 + film) for person in range(3) for film in range(length)]

    with pytest.raises(TooLittleToLearn, match=rf"of 3 people nobody .* more than {length} films, and 7 are needed"):
        released(world(events_of(rows), 12))


def test_three_people_with_seven_films_are_enough() -> None:
    rows = [(person, film, 4.0, 1_600_000_000 + film) for person in range(3) for film in range(7)]

    checkpoint = released(world(events_of(rows), 9), for_epochs(1))

    assert np.isfinite(list(checkpoint.fusion_weights.values())).all()
    # Everybody watched the same films: iALS cannot tell them apart, and does not pretend to by what rounding leaves.
    assert not checkpoint.item_vectors["ials"].any()
