"""Item-CF: cosine similarity between films, with shrinkage; scored like EASE, newer films of a history counting more.

For comparison: a release serves EASE, which has the same graph and weighs its neighbours jointly, and beside which
item-CF adds nothing to the hybrid.
Source: Sarwar et al., "Item-Based Collaborative Filtering Recommendation Algorithms", WWW 2001.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import sparse

from training.models.ease import EaseModel, common_people, keep_strongest, most_watched

Float32 = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class ItemCfConfig:
    """How similarity is shrunk, and how a history is weighted."""

    shrinkage: float = 50.0
    """People added to every count, so that one common viewer does not make two films similar."""
    max_items: int = 16_000
    neighbours: int = 256
    candidates: int = 512
    half_life_films: float = 3.0
    floor: float = 0.05


def fit_item_cf(user_rows: npt.NDArray[np.integer], item_rows: npt.NDArray[np.integer], n_items: int,
                config: ItemCfConfig) -> EaseModel:  # fmt: skip
    """Fit on watched films and keep each film's most similar ones."""
    watched, film_rows = most_watched(user_rows, item_rows, n_items, config.max_items)
    model = EaseModel(
        n_items, min(config.neighbours, max(len(film_rows) - 1, 1)), min(config.candidates, n_items),
        config.half_life_films, config.floor, disliked=1.0,
    )  # fmt: skip
    keep_strongest(model, shrunken_cosine(watched, config.shrinkage), film_rows)
    return model


def shrunken_cosine(watched: sparse.csr_matrix, shrinkage: float) -> Float32:
    """(N, N) people in common / (sqrt of the product of both counts + shrinkage); 0 between a film and itself."""
    common = common_people(watched)
    root = np.sqrt(np.diag(common))
    similarity = common / (root[:, None] * root[None, :] + shrinkage)
    np.fill_diagonal(similarity, 0)
    return similarity.astype(np.float32, copy=False)
