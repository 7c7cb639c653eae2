"""Parity proofs: what passes, and every way to fail."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from export.errors import ParityFailed, RankingChanged
from export.example_inputs import Tensors, empty_history, history_batch
from export.graphs.parity import Claim, prove

VECTORS = np.random.default_rng(0).standard_normal((8, 30)).astype(np.float32)
BATCHES = [{"x": np.random.default_rng(n).standard_normal((n, 8)).astype(np.float32)} for n in (1, 2, 7, 64)]


def same(batch: Tensors) -> Tensors:
    return {"embedding": 2 * batch["x"]}


def claim(exported: Any) -> Claim:
    return Claim("tower", same, exported, lambda outputs: outputs["embedding"] @ VECTORS)


def test_equal_answers_are_proven() -> None:
    parity = prove(claim(same), BATCHES)
    assert parity.batches == (1, 2, 7, 64)
    assert parity.largest_difference == 0
    assert parity.top_k_identical


def test_the_largest_difference_is_written_down() -> None:
    parity = prove(claim(lambda batch: {"embedding": 2 * batch["x"] + np.float32(1 / 2**17)}), BATCHES)
    # Values up to 8 are multiples of 2^-20 at the coarsest, so adding 2^-17 is off by at most 2^-20.
    assert parity.largest_difference == pytest.approx(2**-17, abs=2**-19)
    assert parity.largest_difference <= parity.tolerance


def test_a_wrong_value_fails_with_value_and_tolerance() -> None:
    def off(batch: Tensors) -> Tensors:
        return {"embedding": 2 * batch["x"] + np.float32(0.25)}

    with pytest.raises(ParityFailed, match=r"tower: output 'embedding' differs by 0\.25 .* more than 0\.000\d+"):
        prove(claim(off), BATCHES)


def test_nan_fails() -> None:
    with pytest.raises(ParityFailed, match="tower: output 'embedding' differs by nan"):
        prove(claim(lambda batch: {"embedding": batch["x"] * np.float32(np.nan)}), BATCHES)


def test_a_wrong_shape_fails() -> None:
    with pytest.raises(ParityFailed, match=r"output 'embedding' is float32\(1, 7\)"):
        prove(claim(lambda batch: {"embedding": batch["x"][:, :7]}), BATCHES)


def test_a_row_that_depends_on_its_batch_fails() -> None:
    def leaking(batch: Tensors) -> Tensors:
        # Right for the batch sizes that are compared directly, wrong for rows taken out of the largest one.
        first_of_its_batch = batch["x"] == BATCHES[-1]["x"][5:6] if len(batch["x"]) == 1 else False
        return {"embedding": np.where(first_of_its_batch, 0, 2 * batch["x"]).astype(np.float32)}

    with pytest.raises(ParityFailed, match="row 5 alone: output 'embedding'"):
        prove(claim(leaking), BATCHES)


def test_another_ranking_fails_even_where_every_value_is_close() -> None:
    # The embeddings agree within the tolerance; the scores jump between them.
    steep = Claim(
        "tower",
        lambda batch: {"embedding": np.zeros((len(batch["x"]), 1), np.float32)},
        lambda batch: {"embedding": np.full((len(batch["x"]), 1), 5e-5, np.float32)},
        lambda outputs: np.where(outputs["embedding"] > 0, [[0.0, 9.0]], [[9.0, 0.0]]).repeat(12, axis=1),
    )
    with pytest.raises(RankingChanged, match=r"tower: the first 10 films are 0\.0% the same, not 100\.0%"):
        prove(steep, BATCHES)


def test_another_order_of_the_same_films_fails() -> None:
    def ranking(batch: Tensors, best: float) -> Tensors:
        return {"embedding": np.full((len(batch["x"]), 1), best, np.float32)}

    swapped = Claim(
        "tower", lambda batch: ranking(batch, 0), lambda batch: ranking(batch, 5e-5),
        lambda outputs: np.where(outputs["embedding"] > 0, [[8.0, 9.0, 1.0]], [[9.0, 8.0, 1.0]]),
    )  # fmt: skip
    with pytest.raises(RankingChanged, match="tower: the first 10 films come in another order"):
        prove(swapped, BATCHES)
    loose = prove(replace(swapped, precision="int8"), BATCHES)
    assert loose.ranking_overlap == 1
    assert not loose.top_k_identical


def test_films_of_nearly_equal_score_may_change_places() -> None:
    def ranking(batch: Tensors, best: float) -> Tensors:
        return {"embedding": np.full((len(batch["x"]), 1), best, np.float32)}

    swapped = Claim(
        "tower", lambda batch: ranking(batch, 0), lambda batch: ranking(batch, 5e-5),
        lambda outputs: np.where(outputs["embedding"] > 0, [[5.0, 5.00001, 1.0]], [[5.00001, 5.0, 1.0]]),
    )  # fmt: skip
    proof = prove(swapped, BATCHES)
    assert proof.top_k_identical
    assert proof.ranking_overlap == 1


def test_histories_to_try_hold_the_awkward_ones() -> None:
    lengths = (history_batch(100, 7, seed=1)["history"] > 0).sum(axis=1)
    assert lengths[-1] == 0
    assert lengths[-2] == 50
    assert (empty_history()["history"] == 0).all()
    assert history_batch(5, 2, seed=1)["history"].max() <= 5
