"""The re-ranker: its inputs, and candidates with its scores in place of the dot products. Pure.

The difference that the re-ranker makes to a film's score stands beside the contributions of the sources; together they
add up to the score.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from bento.recommender.retrieval.release_search import Ranked
from features.history import WatchHistory, history_tensors
from features.scorers import CANDIDATES

Float32 = npt.NDArray[np.float32]


def reranker_inputs(history: WatchHistory, ranked: Ranked, weights: Float32) -> dict[str, npt.NDArray[Any]]:
    """The inputs of the model: the best candidates, and the (S,) weights that found them."""
    return {
        **history_tensors([history]),
        "candidate_rows": ranked.rows[np.newaxis, :CANDIDATES],
        "contributions": ranked.contributions[np.newaxis, :CANDIDATES],
        "weights": weights[np.newaxis],
    }


def reranked(ranked: Ranked, scores: Float32) -> Ranked:
    """The first C films in the order of their new (C,) scores, then the others in their old order.

    Films of equal score keep their order. The scores of the others are moved below the lowest new score, so that order
    and scores agree.
    """
    n = len(scores)
    order = np.argsort(-scores, kind="stable")
    others = ranked.scores[n:]
    shift = min(0.0, float(scores.min() - others[0])) if n and len(others) else 0.0
    corrections = np.concatenate([scores - ranked.scores[:n], np.full(len(others), shift)]).astype(np.float32)
    moved = Ranked(ranked.rows, ranked.scores + corrections, ranked.contributions, corrections)
    return moved.at(np.concatenate([order, np.arange(n, len(ranked.rows))]))
