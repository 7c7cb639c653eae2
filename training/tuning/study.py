"""Tuning one model by Optuna: a resumable study in SQLite, scored on validation people alone.

Events that a protocol holds out for the test are removed first, so that no choice depends on them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from features.catalog import Catalog
from features.history import history_tensors
from training.content.vectors import ContentVectors
from training.data.dataset import Dataset, Events
from training.data.item_features import item_features
from training.data.splits import Protocol, Split, hold_out, sample_people, visible_events
from training.fit.loop import Curve
from training.fit.networks import sequence_network, two_tower_network
from training.fit.trainer import content_columns, encode
from training.models.ease import fit_ease
from training.models.fused_query import centre
from training.models.ials import fit_ials
from training.options import TrainOptions, pick_device
from training.ranking.metrics import measure, rank
from training.ranking.validation import ValidationScore
from training.tuning.spaces import SPACES

Float32 = npt.NDArray[np.float32]

METRIC = "ndcg@10"
ENCODERS = {"sequence": sequence_network, "two_tower": two_tower_network}
"""Models that train in epochs; trials that fall behind are pruned."""


@dataclass(frozen=True)
class Bench:
    """Training events and validation people of the trials; neither includes test events."""

    catalog: Catalog
    split: Split
    content: ContentVectors
    options: TrainOptions

    @classmethod
    def of(cls, dataset: Dataset, content: ContentVectors, options: TrainOptions) -> Bench:
        """The validation of a training with these options."""
        visible = visible_events(dataset.events, options.hold_out, options.seed)
        split = sample_people(hold_out(visible, Protocol.LAST5), options.evaluated_people, options.seed)
        return cls(dataset.catalog, split, content, options)

    @property
    def events(self) -> Events:
        """All events that a trial may train on."""
        return self.split.train

    def score_of(self, model: str, options: TrainOptions, on_epoch: Callable[[Curve], None]) -> float:
        """Fit one model; its mean NDCG@10 over the validation people, ranking the whole catalogue."""
        if model in ENCODERS:
            return self._score_encoder(model, options, on_epoch)
        rows, columns, n_items = self.events.user_rows, self.events.item_rows, len(self.catalog)
        tensors = history_tensors(self.split.histories)
        if model == "ease":
            ease = fit_ease(rows, columns, n_items, options.ease)
            candidate_rows, scores = encode({"ease": ease}, "ease", tensors)
            return self._score(dense(candidate_rows, scores, n_items))
        ials, factors = fit_ials(rows, columns, n_items, options.ials, options.seed)
        users = encode({"ials": ials}, "ials", tensors)[0]
        return self._score(users @ centre(factors, np.bincount(columns, minlength=n_items) > 0).T)

    def _score_encoder(self, model: str, options: TrainOptions, on_epoch: Callable[[Curve], None]) -> float:
        columns = content_columns(self.content.projected_text(), self.content.projected_poster())
        features = item_features(self.catalog, self.events, columns)
        make: Any = ENCODERS[model]
        fit = make(self.events, features, getattr(options, model), options.seed, pick_device(options.device))
        return max(fit.train(ValidationScore(self.split), on_epoch).scores)

    def _score(self, scores: Float32) -> float:
        seen = [history.item_rows for history in self.split.histories]
        ranked = rank(scores.astype(np.float32), seen, 20)
        return measure(ranked, self.split.targets, np.ones(len(self.catalog), dtype=np.float32)).mean(METRIC)


def dense(rows: npt.NDArray[np.int64], scores: Float32, n_items: int) -> Float32:
    """(P, C) candidate rows, -1 where there is none, and their scores → (P, N), 0 elsewhere."""
    table = np.zeros((len(rows), n_items), dtype=np.float32)
    person, place = np.nonzero(rows >= 0)
    table[person, rows[person, place]] = scores[person, place]
    return table


def tune(
    bench: Bench, model: str, storage: str, name: str, trials: int,
    on_trial: Callable[[Any], None] = lambda study: None,
) -> Any:  # fmt: skip
    """Create or continue a study until it has this many finished trials; returns it.

    storage: an SQLAlchemy address. name: of the study; the same name continues it, after a crash too.
    The first trial is the default options, so that the best is never worse. on_trial: called with the study
    after each trial.
    """
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(
        storage=storage, study_name=name, load_if_exists=True, direction="maximize",
        pruner=optuna.pruners.MedianPruner(n_startup_trials=4, n_warmup_steps=1),
    )  # fmt: skip
    # Another seed for every start: the same one would suggest the first trials again.
    study.sampler = optuna.samplers.TPESampler(seed=bench.options.seed + len(study.trials))

    defaults = getattr(bench.options, model)
    if not study.trials:
        now = SPACES[model](optuna.trial.FixedTrial(asdict(defaults)))
        study.enqueue_trial(now)

    def objective(trial: Any) -> float:
        def on_epoch(curve: Curve) -> None:
            trial.report(curve.scores[-1], len(curve.scores))
            if trial.should_prune():
                raise optuna.TrialPruned

        changed = {model: replace(defaults, **SPACES[model](trial))}
        return bench.score_of(model, replace(bench.options, **changed), on_epoch)

    done = (optuna.trial.TrialState.COMPLETE, optuna.trial.TrialState.PRUNED)
    while len(study.get_trials(deepcopy=False, states=done)) < trials:
        study.optimize(objective, n_trials=1)
        on_trial(study)
    return study


def best_options(study: Any, model: str) -> dict[str, Any]:
    """The best trial's values in the form that `--options` reads."""
    return {model: study.best_params}


def study_name(dataset: Dataset, model: str, hold_out: Protocol | None) -> str:
    """One study for each model, data and split."""
    return f"{model}-{dataset.name}-{dataset.fingerprint[:8]}-{hold_out or 'nothing'}-held-out"


def storage_below(home: Path) -> str:
    """The SQLite address of the studies."""
    home.mkdir(parents=True, exist_ok=True)
    return f"sqlite:///{(home / 'tuning.db').resolve()}"
