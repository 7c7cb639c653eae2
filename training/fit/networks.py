"""The two trained encoders, sequence transformer and two towers, with their batches and losses."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from training.data.dataset import Events
from training.data.item_features import ItemFeatures
from training.fit.loop import Curve, LoopConfig, ResumePoint, fit
from training.fit.resume import ResumeFile
from training.fit.streamed_windows import StreamedWindows
from training.fit.windows import EventWindows, HistoryMasking
from training.models.seeded_dropout import seed_dropout
from training.models.sequence import SequenceConfig, SequenceNet, sampled_softmax
from training.models.tower_losses import tower_loss
from training.models.two_tower import TwoTowerConfig, TwoTowerNet

Float32 = npt.NDArray[np.float32]

Score = Callable[[torch.nn.Module, Float32], float]
"""Quality on held-out people of (serving module, item vectors (N, D)); higher is better."""

OnEpoch = Callable[[Curve], None]


@dataclass(frozen=True, slots=True)
class TrainableNetwork:
    """A network and everything its training needs; networks are built one after another, and may train in parallel."""

    net: SequenceNet | TwoTowerNet
    losses: Callable[[torch.Generator], Iterator[Tensor]]
    loop: LoopConfig

    def train(
        self, score: Score | None = None, on_epoch: OnEpoch = lambda curve: None, file: ResumeFile | None = None
    ) -> Curve:
        """Train; with `score` it stops early and ends at its best epoch, without it runs to the end.

        file: where an interrupted training resumes.
        """
        device = next(self.net.parameters()).device
        dropout = torch.Generator(device).manual_seed(self.loop.seed)
        seed_dropout(self.net, dropout)

        def measured() -> float:
            assert score is not None
            return score(self.net.serving(), self.net.item_vectors().cpu().numpy())

        return fit(
            self.net, self.losses, self.loop, measured if score else None, on_epoch, ResumePoint(file, [dropout])
        )


def sequence_network(
    events: Events | Path, features: ItemFeatures, config: SequenceConfig, seed: int, device: torch.device,
    mixed: bool = False,
) -> TrainableNetwork:  # fmt: skip
    """The transformer, ready to train on events in time order, in memory or in an event table.

    mixed: inner layers compute in bf16; vectors, loss and weights stay in single precision.
    """
    torch.manual_seed(seed)
    windows = open_windows(events, device)
    net = SequenceNet(torch.from_numpy(features.static), config).to(device)
    n_items = len(features.static)
    weight_of = windows.counts.to(torch.float32) ** -config.person_exponent
    masking = HistoryMasking(config.hidden_share, config.plain_share)

    def losses(generator: torch.Generator) -> Iterator[Tensor]:
        ends = windows.window_ends(generator)
        shuffled = ends[torch.randperm(len(ends), generator=generator)[: config.max_windows].to(device)]
        for batch in windows.batches(shuffled, config.windows_per_batch, config.horizon):
            history, ratings, age_days, at = windows.before(batch)
            inside = history > 0
            table = net.items()
            shown = masking((history, ratings, age_days), generator)
            with torch.autocast(device.type, torch.bfloat16, enabled=mixed):
                states = net.states(table, *shown)
            states = states.float()[inside]
            at = at[inside]
            positives = windows.after(at, config.horizon)
            negatives = torch.randperm(n_items, generator=generator)[: config.negatives].to(device) + 1
            weight = weight_of[windows.person_of(at)]
            loss = sampled_softmax(states, positives, negatives, table, config.temperature)
            yield (loss * weight).sum() / weight.sum()

    return TrainableNetwork(net, losses, loop_of(config, seed))


def two_tower_network(
    events: Events | Path, features: ItemFeatures, config: TwoTowerConfig, seed: int, device: torch.device,
    mixed: bool = False,
) -> TrainableNetwork:  # fmt: skip
    """The two towers, ready to train on events in time order, in memory or in an event table.

    mixed: inner layers compute in bf16; vectors, loss and weights stay in single precision.
    """
    torch.manual_seed(seed)
    windows = open_windows(events, device)
    net = TwoTowerNet(
        torch.from_numpy(features.static), torch.from_numpy(features.all), torch.from_numpy(features.profile), config
    ).to(device)
    n_items = len(features.static)
    sampler = windows.sampler(config.person_exponent)
    share = windows.film_shares(sampler, n_items)
    # A film is expected so often among a batch's draws; the chance of at least once is 1 - e^-expected.
    expected = share * config.batch_size * config.horizon + config.extra_negatives / n_items
    log_q = torch.log(-torch.expm1(-expected)).to(torch.float32)
    examples = min(max(config.batch_size, int(config.examples_ratio * sampler.usable)), config.max_examples)
    masking = HistoryMasking(config.hidden_share, config.plain_share)

    def losses(generator: torch.Generator) -> Iterator[Tensor]:
        for batch in windows.batches(sampler.draw(examples, generator), config.batch_size, config.horizon):
            history, ratings, age_days, _ = windows.before(batch)
            positives = windows.after(batch - 1, config.horizon)
            extra = torch.randint(1, n_items + 1, (config.extra_negatives,), generator=generator).to(device)
            films = net.items()
            shown = masking((history, ratings, age_days), generator)
            columns = torch.unique(torch.cat([positives[positives > 0], extra]))
            with torch.autocast(device.type, torch.bfloat16, enabled=mixed):
                users = net.user_tower.embed(films, *shown)
                items = net.item_tower(films, columns)
            yield tower_loss(
                config.loss, users.float(), positives, columns, items.float(), log_q[columns - 1], config.temperature
            ).mean()

    return TrainableNetwork(net, losses, loop_of(config, seed))


def open_windows(events: Events | Path, device: torch.device) -> EventWindows | StreamedWindows:
    """Training examples from memory, or streamed from an event table: the same ones."""
    return StreamedWindows(events, device) if isinstance(events, Path) else EventWindows.of(events, device)


def loop_of(config: SequenceConfig | TwoTowerConfig, seed: int) -> LoopConfig:
    """The part of a model's configuration that the training loop reads."""
    return LoopConfig(
        config.epochs, config.patience, config.stop_after, config.learning_rate, config.weight_decay, seed
    )
