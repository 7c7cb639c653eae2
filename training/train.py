"""The whole of a training: hold out, fit, find the weights, fit again on everything, save.

visible events = the data without what `options.hold_out` keeps away
1. trial    models of all visible events but each person's last 5, and nothing of the fifth of people who came last;
            those events choose epochs and fusion weights and train the re-ranker, for people the models know and for
            strangers
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

from features.history import history_tensors
from features.scorers import DOT, MLP, SCORER_MODELS
from training.comparison import compare
from training.content import ContentVectors, encode_content
from training.data_errors import TooLittleToLearn
from training.dataset import Dataset, Events
from training.evaluate import chunks, evaluate
from training.fit_mlp_scorer import fit_mlp_scorer
from training.fitted import STAGES, FittedModels, Fitting, encode, fit_twice
from training.fitting import Curve
from training.fusion import PRESETS, Pool, find_weights, join, pool
from training.metrics import measure, rank
from training.models.mlp_scorer import DotScorer
from training.options import TrainOptions, pick_device
from training.running import IN_MEMORY, Precision, Running
from training.scoring import source_scores
from training.segments import segments
from training.side_by_side import Watch
from training.splits import Protocol, Split, histories_of, hold_out, in_time_order, of_people
from training.text_encoder_facts import check_encoder
from training.trained import FACTS_FILE, DataFacts, NotTrained, Trained

log = structlog.get_logger()

Float32 = npt.NDArray[np.float32]


OnEpoch = Callable[[str, str, Curve], None]
"""Told ("trial" or "release", name of the network, its curve so far) after each epoch; networks train in threads."""


def train(
    dataset: Dataset, home: Path, options: TrainOptions | None = None,
    on_epoch: OnEpoch = lambda fit, network, curve: None, running: Running | None = None,
) -> Trained:  # fmt: skip
    """Train a release on a data set, or load it when the same training has been done before.

    home: content vectors are cached below `cache/`, the result is saved below `checkpoints/`. A training that was
    interrupted goes on after the last epoch that each network finished.
    running: as `running_below(home, …)` gives it unless said otherwise.

    Raises: EncoderKnowsTheTest, TooLittleToLearn.
    """
    options = options or TrainOptions()
    check_encoder(dataset, options)
    folder = checkpoint_folder(dataset, home, options)
    if (folder / FACTS_FILE).exists():
        log.info("training_found", checkpoint=str(folder))
        return Trained.load(folder)
    content = encode_content(dataset, home / "cache", options.content, pick_device(options.device))
    running = running or running_below(home)
    unfinished = folder.with_name(f"{folder.name}.unfinished")
    with _progress() as progress:
        trained = fit_release(dataset, content, options, progress, on_epoch, replace(running, unfinished=unfinished))
    trained.save(folder)
    shutil.rmtree(unfinished, ignore_errors=True)
    log.info("training_saved", checkpoint=str(folder))
    return trained


def running_below(home: Path, stream_above: int | None = None, precision: Precision = Precision.AUTO) -> Running:
    """How trainings of a home run; the default number of events above which they stream with None."""
    running = Running(scratch=home / "scratch", precision=precision)
    return running if stream_above is None else replace(running, stream_above=stream_above)


def checkpoint_folder(dataset: Dataset, home: Path, options: TrainOptions) -> Path:
    """Where a training's result lives; equal data and options share it."""
    return home / "checkpoints" / f"{dataset.fingerprint[:12]}-{options.hash}"


def find_trained(dataset: Dataset, home: Path, options: TrainOptions) -> Trained:
    """The result of a training that was done before.

    Raises: NotTrained, CheckpointFormatError.
    """
    folder = checkpoint_folder(dataset, home, options)
    if not (folder / FACTS_FILE).exists():
        raise NotTrained(folder)
    return Trained.load(folder)


def fit_release(
    dataset: Dataset, content: ContentVectors, options: TrainOptions, progress: Progress,
    on_epoch: OnEpoch = lambda fit, network, curve: None, running: Running = IN_MEMORY,
) -> Trained:  # fmt: skip
    """Both fits and the search for weights; nothing is read or written but what `running` keeps.

    Raises: TooLittleToLearn.
    """
    test = hold_out(dataset.events, options.hold_out, options.seed) if options.hold_out else None
    visible = test.train if test else in_time_order(dataset.events)
    validation = sample_people(hold_out(visible, Protocol.MIXED), options.evaluated_people, options.seed)
    check_enough(visible, validation)
    trial_fit = Fitting(
        dataset.catalog, validation.train, content, options,
        Watch(ValidationScore(validation), Stages(progress, "trial"), partial(on_epoch, "trial")),
        running.part("trial"),
    )  # fmt: skip
    release_fit = Fitting(
        dataset.catalog, visible, content, options,
        Watch(None, Stages(progress, "release"), partial(on_epoch, "release")), running.part("release"),
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
    return Trained(facts, options.hash, dataset.catalog, release, content, weights, dict(PRESETS), metrics)


def check_enough(events: Events, validation: Split) -> None:
    """Refuse events from which no example can be cut once the validation's are kept back. Raises: TooLittleToLearn."""
    learnt_from = np.bincount(validation.train.user_rows)
    if learnt_from.max(initial=0) < 2 or not len(validation.people):
        counts = np.bincount(events.user_rows)
        known = counts[np.unique(validation.train.user_rows)]
        raise TooLittleToLearn(int((counts > 0).sum()), int(known.max(initial=0)))


def sample_people(split: Split, most: int, seed: int) -> Split:
    """The split with at most this many people to predict, drawn at random; `train` stays whole."""
    if len(split.people) <= most:
        return split
    drawn = np.sort(np.random.default_rng(seed).choice(len(split.people), most, replace=False))
    return of_people(split, drawn)


def validation_pool(models: FittedModels, split: Split) -> Pool:
    """The candidates of everyone of a split, for the search for weights."""
    pools = []
    for people in chunks(len(split.people), len(models.popularity)):
        histories = histories_of(split.histories, people)
        seen = [history.item_rows for history in histories]
        pools.append(pool(source_scores(models, histories), seen, [split.targets[row] for row in people]))
    return join(pools)


class ValidationScore:
    """NDCG@10 of one dot-product encoder on a split's people: what early stopping watches."""

    def __init__(self, split: Split) -> None:
        self.split = split
        self.tensors = history_tensors(split.histories)
        self.seen = [history.item_rows for history in split.histories]

    def __call__(self, encoder: nn.Module, item_vectors: Float32) -> float:
        """Mean NDCG@10 of (history → user vector) · item vectors (N, D)."""
        users = encode({"encoder": encoder.cpu()}, "encoder", self.tensors)[0]
        ranked = rank((users @ item_vectors.T).astype(np.float32), self.seen, 20)
        return measure(ranked, self.split.targets, np.ones(len(item_vectors), dtype=np.float32)).mean("ndcg@10")


class Stages:
    """Progress bars of one fit, a bar per stage; stages may run at the same time."""

    def __init__(self, progress: Progress, label: str) -> None:
        self.progress, self.label = progress, label
        self.tasks: dict[str, TaskID] = {}

    def __call__(self, stage: str, done: int, total: int, note: str) -> None:
        """Show that `stage` has done this much; the first word of a stage is that it has done nothing yet."""
        if stage not in self.tasks:
            title = f"{STAGES.index(stage) + 1}/{len(STAGES)} {stage} ({self.label})"
            self.tasks[stage] = self.progress.add_task(title, total=total, note="")
        self.progress.update(self.tasks[stage], completed=done, total=total, note=note)


def _progress() -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), TextColumn("{task.fields[note]}"))
    return Progress(*columns, console=Console(stderr=True))
