"""Tests of fine-tuning the text encoder on films that the same people liked."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from features.catalog import Catalog, Film
from features.text import film_text, open_tokenizer
from training.content.text_encoder import encode_texts, load_text_encoder, tokenizer_json
from training.data.dataset import Events
from training.finetuning.text import (
    FinetuneOptions,
    NothingLiked,
    batches_without_repeats,
    co_liked_pairs,
    finetune_text,
)


def events(*histories: list[tuple[int, float]]) -> Events:
    """One person's (item_row, rating) per history, oldest first."""
    users = np.repeat(np.arange(len(histories)), [len(history) for history in histories])
    rows, ratings = zip(*(event for history in histories for event in history), strict=True)
    n = len(rows)
    return Events(
        users.astype(np.int32),
        np.array(rows, np.int32),
        np.array(ratings, np.float32),
        np.arange(1, n + 1, dtype=np.int64),
    )


def unordered(pairs: np.ndarray) -> set[frozenset[int]]:
    return {frozenset(pair) for pair in pairs.tolist()}


def test_pairs_are_films_that_one_person_liked() -> None:
    two_people = events([(0, 5), (1, 4), (2, 1)], [(3, 4.5), (4, 4)])
    assert unordered(co_liked_pairs(two_people, FinetuneOptions())) == {frozenset({0, 1}), frozenset({3, 4})}


def test_films_liked_far_apart_are_no_pair() -> None:
    long = events([(row, 5.0) for row in range(4)])
    neighbours = {frozenset({row, row + 1}) for row in range(3)}
    assert unordered(co_liked_pairs(long, FinetuneOptions(window=1))) == neighbours


def test_at_most_as_many_pairs_as_asked_for_and_the_same_for_a_seed() -> None:
    long = events([(row, 5.0) for row in range(50)])
    first, second, other = (co_liked_pairs(long, FinetuneOptions(pairs=20, seed=seed)) for seed in (1, 1, 2))
    assert first.shape == (20, 2)
    assert np.array_equal(first, second)
    assert not np.array_equal(first, other)


def test_popular_films_are_drawn_less_often_than_they_occur() -> None:
    # everyone likes film 0 between two films of their own: without weights it would be in 2 of 3 pairs
    people = events(*([(2 * n + 1, 5.0), (0, 5.0), (2 * n + 2, 5.0)] for n in range(100)))
    drawn = co_liked_pairs(people, FinetuneOptions(pairs=90))
    assert (drawn == 0).any(axis=1).mean() < 0.4


def test_no_film_stands_twice_in_a_batch_and_no_pair_is_lost() -> None:
    pairs = np.array([[0, 1], [0, 2], [0, 3], [4, 5], [6, 7], [8, 9], [8, 1]])
    batches = list(batches_without_repeats(pairs, 3))
    for batch in batches:
        assert len(np.unique(batch)) == batch.size
    assert sorted(np.concatenate(batches).tolist()) == [[0, 1], [0, 2], [0, 3], [4, 5], [6, 7], [8, 1], [8, 9]]


def test_a_pair_alone_is_no_batch() -> None:
    assert list(batches_without_repeats(np.array([[0, 1]]), 8)) == []


def test_data_without_likes_is_refused_with_a_reason(tmp_path: Path) -> None:
    with pytest.raises(NothingLiked, match=r"no two films were rated 4 or more by the same person: .* Lower --liked"):
        finetune_text(Catalog([Film(1, "A"), Film(2, "B")]), events([(0, 1), (1, 2)]), tmp_path / "encoder")


def test_co_liked_films_come_closer(tmp_path: Path) -> None:
    """People like trains with pears and clocks with boats, which no language model would guess."""
    titles = (
        "The Night Train",
        "Pears",
        "The Old Clock",
        "Boats",
        "A Train Robbery",
        "Pear Trees",
        "Clockwork",
        "The Boat",
    )
    catalog = Catalog(Film(row + 1, title) for row, title in enumerate(titles))
    rng = np.random.default_rng(0)
    trains_and_pears, clocks_and_boats = [0, 1, 4, 5], [2, 3, 6, 7]
    histories = [
        [(int(row), 5.0) for row in rng.permutation(group)] for group in (trains_and_pears, clocks_and_boats) * 10
    ]
    losses: list[float] = []
    options = FinetuneOptions(pairs=48, batch_size=4, learning_rate=4e-4)
    steps: list[tuple[int, int]] = []

    def on_step(done: int, total: int, loss: float) -> None:
        losses.append(loss)
        steps.append((done, total))

    folder = finetune_text(catalog, events(*histories), tmp_path / "encoder", options, on_step)

    def lead(source: Path | None) -> float:
        """How much closer co-liked films of different words are than others."""
        texts = [film_text(film) for film in catalog.films]
        vectors = encode_texts(load_text_encoder(source), open_tokenizer(tokenizer_json(source)), texts)
        cosines = vectors @ vectors.T
        return float(cosines[[0, 2], [1, 3]].mean() - cosines[[0, 1], [3, 2]].mean())

    assert steps == [(done, len(steps)) for done in range(1, len(steps) + 1)]
    assert np.mean(losses[-5:]) < np.mean(losses[:5])
    assert lead(folder) > lead(None) + 0.1


def test_films_watched_without_a_rating_are_pairs_too() -> None:
    person = events([(0, 0.0), (1, 0.0), (2, 1.0)])
    assert unordered(co_liked_pairs(person, FinetuneOptions())) == {frozenset({0, 1})}
