"""Search spaces of each model's options. Widths are fixed: they are those of the served fused space."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Space = Callable[[Any], dict[str, Any]]
"""An Optuna trial → values of a model's options."""


def ease(trial: Any) -> dict[str, Any]:
    """EASE: regularisation, and decay of the history."""
    return {
        "l2": trial.suggest_float("l2", 20, 2000, log=True),
        "half_life_films": trial.suggest_float("half_life_films", 1, 30, log=True),
        "floor": trial.suggest_float("floor", 0, 0.3),
        "disliked": trial.suggest_float("disliked", 0, 1),
    }


def ials(trial: Any) -> dict[str, Any]:
    """iALS: confidence, regularisation, and the fold-in."""
    return {
        "alpha": trial.suggest_float("alpha", 0.5, 40, log=True),
        "l2": trial.suggest_float("l2", 0.5, 50, log=True),
        "iterations": trial.suggest_int("iterations", 5, 30),
        "fold_in_alpha": trial.suggest_float("fold_in_alpha", 0.5, 40, log=True),
        "half_life_films": trial.suggest_float("half_life_films", 1, 30, log=True),
        "disliked": trial.suggest_float("disliked", 0, 1),
    }


def sequence(trial: Any) -> dict[str, Any]:
    """The transformer: number of blocks, loss and learning rate."""
    return {
        "blocks": trial.suggest_int("blocks", 1, 2),
        "heads": trial.suggest_categorical("heads", [1, 2, 4]),
        "dropout": trial.suggest_float("dropout", 0, 0.5),
        "own_dropout": trial.suggest_float("own_dropout", 0, 0.5),
        "temperature": trial.suggest_float("temperature", 0.03, 0.2, log=True),
        "horizon": trial.suggest_int("horizon", 1, 5),
        "person_exponent": trial.suggest_float("person_exponent", 0, 1),
        "learning_rate": trial.suggest_float("learning_rate", 5e-4, 1e-2, log=True),
        "weight_decay": trial.suggest_float("weight_decay", 1e-6, 1e-2, log=True),
    }


def two_tower(trial: Any) -> dict[str, Any]:
    """The two towers: loss and learning rate."""
    return {
        "dropout": trial.suggest_float("dropout", 0, 0.5),
        "own_dropout": trial.suggest_float("own_dropout", 0, 0.5),
        "temperature": trial.suggest_float("temperature", 0.03, 0.3, log=True),
        "extra_negatives": trial.suggest_int("extra_negatives", 0, 2048, step=64),
        "horizon": trial.suggest_int("horizon", 1, 5),
        "person_exponent": trial.suggest_float("person_exponent", 0, 1),
        "learning_rate": trial.suggest_float("learning_rate", 5e-4, 1e-2, log=True),
        "weight_decay": trial.suggest_float("weight_decay", 1e-6, 1e-2, log=True),
    }


SPACES: dict[str, Space] = {"ease": ease, "ials": ials, "sequence": sequence, "two_tower": two_tower}
"""By the name of the model's part of TrainOptions."""
