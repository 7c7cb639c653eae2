"""Baselines: models that are not served, fitted on the same events to compare the served ones with."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from features.history import history_tensors
from training.data.splits import Split, select
from training.evaluation.item_cf import ItemCfConfig, fit_item_cf
from training.evaluation.svd import SvdConfig, fit_svd, rmse
from training.ranking.metrics import RankingMetrics, measure, rank

Float32 = npt.NDArray[np.float32]


def compare(split: Split, n_items: int) -> dict[str, Any]:
    """Ranking metrics of item-CF and the RMSE of SVD on a split's rated targets, as plain values.

    RMSE is reported beside that of answering with the mean; neither is used to choose anything. It is left out where
    nothing is rated. People whom the
    rating model never saw (`newuser`) are given the mean person's deviation.
    """
    train = split.train
    item_cf = fit_item_cf(train.user_rows, train.item_rows, n_items, ItemCfConfig())
    ranked = {"item_cf": rank_by_neighbours(item_cf, split, n_items).summary()}
    rows = np.concatenate(split.targets)
    stars = np.concatenate(split.target_ratings)
    people = np.repeat(split.people, [len(targets) for targets in split.targets])
    rated, learnt = stars > 0, train.ratings > 0
    if not rated.any() or not learnt.any():
        return ranked
    if not learnt.all():
        train = select(train, learnt)
    people, rows, stars = people[rated], rows[rated], stars[rated]
    svd = fit_svd(train, int(max(split.train.user_rows.max(), split.people.max())) + 1, n_items, SvdConfig())
    errors = {
        "svd": rmse(svd.predict(people, rows), stars),
        "mean": rmse(np.full(len(stars), svd.mean, dtype=np.float32), stars),
    }
    return ranked | {"rmse": errors}


def rank_by_neighbours(model: nn.Module, split: Split, n_items: int) -> RankingMetrics:
    """Metrics of a module that answers with candidate rows, best first."""
    with torch.no_grad():
        rows, values = model(*map(torch.from_numpy, history_tensors(split.histories).values()))
    scores = np.zeros((len(split.people), n_items + 1), dtype=np.float32)
    np.put_along_axis(scores, rows.numpy(), values.numpy(), axis=1)  # -1 writes 0 into the extra column
    counts = np.bincount(split.train.item_rows, minlength=n_items).astype(np.float32)
    return measure(rank(scores[:, :-1], [history.item_rows for history in split.histories]), split.targets, counts)
