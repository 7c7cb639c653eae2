"""Selection of the films that are shown: some left out, the rest filled up from another list. Pure."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from bento.recommender.retrieval.release_search import Ranked


def without(ranked: Ranked, excluded_rows: npt.NDArray[np.int64], top_k: int) -> Ranked:
    """The best top_k films that are not excluded, in the same order.

    excluded_rows: (X,), any order, duplicates allowed. Fewer come back when fewer are left.
    """
    rows = np.flatnonzero(~np.isin(ranked.rows, excluded_rows))[:top_k]
    return ranked.at(rows)


def followed_by(first: Ranked, second: Ranked, top_k: int) -> Ranked:
    """`first`, filled up to top_k with films of `second` that it does not hold.

    The scores of `second` are moved below those of `first`, so that the order and the scores agree.
    """
    missing = top_k - len(first.rows)
    if missing <= 0:
        return first
    filling = without(second, first.rows, missing)
    shift = np.float32(0)
    if len(first.scores) and len(filling.scores):
        shift = np.float32(min(0.0, float(first.scores[-1]) - float(filling.scores[0])))
    corrections = None
    if first.corrections is not None:
        corrections = np.concatenate([first.corrections, np.full(len(filling.rows), shift)])
    return Ranked(
        np.concatenate([first.rows, filling.rows]),
        np.concatenate([first.scores, filling.scores + shift]),
        np.concatenate([first.contributions, filling.contributions]),
        corrections,
    )
