"""The re-ranker's scores put in the place of the blend's. Pure: arrays in, arrays out.

What the re-ranker adds to a film's score is kept beside the sources' contributions: together they are the score.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from bento.recommender.ranking.release_search import Ranked
from features.history import WatchHistory, history_tensors
from features.scorers import CANDIDATES

Float32 = npt.NDArray[np.float32]


def scorer_inputs(history: WatchHistory, ranked: Ranked, weights: Float32) -> dict[str, npt.NDArray[Any]]:
    """What the model is asked: the best candidates, with the (S,) weights that they were found by."""
    return {
        **history_tensors([history]),
        "candidate_rows": ranked.rows[np.newaxis, :CANDIDATES],
        "contributions": ranked.contributions[np.newaxis, :CANDIDATES],
        "weights": weights[np.newaxis],
    }


def rescored(ranked: Ranked, scores: Float32) -> Ranked:
    """The first C films in the order of their new (C,) scores, the others beneath them in the order they had.

    Films of equal score stay as they were. The scores of those beneath are moved below the lowest new one, so that
    order and scores agree.
    """
    n = len(scores)
    order = np.argsort(-scores, kind="stable")
    beneath = ranked.scores[n:]
    shift = min(0.0, float(scores.min() - beneath[0])) if n and len(beneath) else 0.0
    corrections = np.concatenate([scores - ranked.scores[:n], np.full(len(beneath), shift)]).astype(np.float32)
    moved = Ranked(ranked.rows, ranked.scores + corrections, ranked.contributions, corrections)
    return moved.at(np.concatenate([order, np.arange(n, len(ranked.rows))]))
