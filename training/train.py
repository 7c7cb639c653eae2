"""A whole training: hold out, fit, find the fusion weights, fit again on everything, save.

visible events = the data without those held out by `options.hold_out`
1. trial    models of the visible events without each person's last 5 and without the last fifth of people to arrive;
            those events choose epochs and fusion weights and train the re-ranker, for people the models know and for
            unseen people
2. release  models of all visible events, with the epochs, weights and re-ranker of the trial; these are served
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
import structlog
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from torch import nn

from features.scorers import DOT, MLP, SCORER_MODELS
from training.checkpoint import FACTS_FILE, Checkpoint, DataFacts, checkpoint_folder
from training.content.encode import ContentVectors, encode_content
from training.data.dataset import Dataset, Events
from training.data.errors import TooLittleToLearn
from training.data.splits import Protocol, Split, hold_out, in_time_order, sample_people
from training.evaluation.baselines import compare
from training.evaluation.evaluate import evaluate
from training.evaluation.segments import segments
from training.finetuning.encoder_facts import check_encoder
from training.fit.loop import Curve
from training.fit.parallel import Callbacks
from training.fit.runtime import IN_MEMORY, Runtime, runtime_of
from training.fit.trainer import STAGES, ModelTrainer, fit_twice
from training.models.mlp_scorer import DotScorer
from training.options import TrainOptions, pick_device
from training.ranking.fusion import PRESETS, find_weights
from training.ranking.reranker_training import fit_mlp_scorer
from training.ranking.validation import ValidationScore, validation_pool

log = structlog.get_logger()

Float32 = npt.NDArray[np.float32]


OnEpoch = Callable[[str, str, Curve], None]
"""Called with ("trial" or "release", name of the network, its curve so far) after each epoch, in its thread."""


def train(
    dataset: Dataset, home: Path, options: TrainOptions | None = None,
    on_epoch: OnEpoch = lambda fit, network, curve: None, runtime: Runtime | None = None,
) -> Checkpoint:  # fmt: skip
    """Train a release on a data set, or load it when the same training has been done before.

    home: content vectors are cached below `cache/`, the result is saved below `checkpoints/`. An interrupted
    training resumes after the last epoch that each network finished.
    runtime: `runtime_of(home)` when None.

    Raises: EncoderKnowsTheTest, TooLittleToLearn.
    """
    options = options or TrainOptions()
    check_encoder(dataset, options)
    folder = checkpoint_folder(dataset, home, options)
    if (folder / FACTS_FILE).exists():
        log.info("training_found", checkpoint=str(folder))
        return Checkpoint.load(folder)
    content = encode_content(dataset, home / "cache", options.content, pick_device(options.device))
    runtime = runtime or runtime_of(home)
    resume_folder = folder.with_name(f"{folder.name}.unfinished")
    with _progress() as progress:
        checkpoint = fit_release(
            dataset, content, options, progress, on_epoch, replace(runtime, resume_folder=resume_folder)
        )
    checkpoint.save(folder)
    shutil.rmtree(resume_folder, ignore_errors=True)
    log.info("training_saved", checkpoint=str(folder))
    return checkpoint


def fit_release(
    dataset: Dataset, content: ContentVectors, options: TrainOptions, progress: Progress,
    on_epoch: OnEpoch = lambda fit, network, curve: None, runtime: Runtime = IN_MEMORY,
) -> Checkpoint:  # fmt: skip
    """Both fits and the search for weights; touches no files but those of `runtime`.

    Raises: TooLittleToLearn.
    """
    test = hold_out(dataset.events, options.hold_out, options.seed) if options.hold_out else None
    visible = test.train if test else in_time_order(dataset.events)
    validation = sample_people(hold_out(visible, Protocol.MIXED), options.evaluated_people, options.seed)
    check_enough(visible, validation)
    trial_fit = ModelTrainer(
        dataset.catalog, validation.train, content, options,
        Callbacks(ValidationScore(validation), Stages(progress, "trial"), partial(on_epoch, "trial")),
        runtime.part("trial"),
    )  # fmt: skip
    release_fit = ModelTrainer(
        dataset.catalog, visible, content, options,
        Callbacks(None, Stages(progress, "release"), partial(on_epoch, "release")), runtime.part("release"),
    )  # fmt: skip
    with fit_twice(trial_fit, release_fit) as (trial, refit):
        task = progress.add_task("Finding fusion weights", total=1, note="")
        weights = find_weights(validation_pool(trial, validation))
        metrics = {"validation": evaluate(trial, validation, weights).report()}
        metrics["validation"]["segments"] = segments(trial, validation, weights)
        progress.update(task, completed=1)
        task = progress.add_task("Training the re-ranker", total=1, note="")
        scorer = fit_mlp_scorer(trial, validation, weights, dataset.catalog, options.mlp_scorer, options.seed)
        metrics["validation"]["reranking"] = scorer.report
        progress.update(task, completed=1)
        release = refit()
    scorer.net.know_films(dataset.catalog, visible)
    scorers: dict[str, nn.Module] = {SCORER_MODELS[DOT]: DotScorer(), SCORER_MODELS[MLP]: scorer.net}
    release = replace(release, encoders=release.encoders | scorers)
    if test:
        tested = sample_people(test, options.tested_people, options.seed)
        metrics["test"] = evaluate(release, tested, weights).report()
        metrics["test"]["segments"] = segments(release, tested, weights)
        metrics["test"]["comparison"] = compare(tested, len(dataset.catalog))
    facts = DataFacts(
        name=dataset.name, fingerprint=dataset.fingerprint, simulated=dataset.simulated,
        people=len(np.unique(visible.user_rows)), films=len(dataset.catalog), events=len(visible),
        hold_out=str(options.hold_out) if options.hold_out else None,
    )  # fmt: skip
    release = replace(release, curves=trial.curves)
    return Checkpoint(facts, options.hash, dataset.catalog, release, content, weights, dict(PRESETS), metrics)


def check_enough(events: Events, validation: Split) -> None:
    """Refuse events that leave no training example once the validation's are held out. Raises: TooLittleToLearn."""
    learnt_from = np.bincount(validation.train.user_rows)
    if learnt_from.max(initial=0) < 2 or not len(validation.people):
        counts = np.bincount(events.user_rows)
        lengths = counts[np.unique(validation.train.user_rows)]
        raise TooLittleToLearn(int((counts > 0).sum()), int(lengths.max(initial=0)))


class Stages:
    """Progress bars of one fit, a bar per stage; stages may run at the same time."""

    def __init__(self, progress: Progress, label: str) -> None:
        self.progress, self.label = progress, label
        self.tasks: dict[str, TaskID] = {}

    def __call__(self, stage: str, done: int, total: int, note: str) -> None:
        """Show the progress of `stage`; its first call reports 0 steps done."""
        if stage not in self.tasks:
            title = f"{STAGES.index(stage) + 1}/{len(STAGES)} {stage} ({self.label})"
            self.tasks[stage] = self.progress.add_task(title, total=total, note="")
        self.progress.update(self.tasks[stage], completed=done, total=total, note=note)


def _progress() -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), TextColumn("{task.fields[note]}"))
    return Progress(*columns, console=Console(stderr=True))
