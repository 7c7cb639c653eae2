"""One fine-tuning of the text encoder: its training events, its folder, and its effect on the text source.

The training itself is in `training.finetuning.text`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from features.history import history_tensors
from training.content.vectors import ContentVectors
from training.data.dataset import Dataset
from training.data.splits import Protocol, Split, hold_out, sample_people, visible_events
from training.finetuning.encoder_facts import FinetunedFacts
from training.finetuning.text import FinetuneOptions, finetune_text
from training.fit.trainer import encode
from training.models.content_profile import ContentProfileConfig, content_profile
from training.models.fused_query import centre
from training.options import TrainOptions
from training.ranking.metrics import RankingMetrics, measure, rank

OnStep = Callable[[int, int, float], None]
"""Called with (steps done, steps in all, the loss of the last one)."""


@dataclass(frozen=True, slots=True)
class Finetuning:
    """Equal fine-tunings on equal data share one folder."""

    options: FinetuneOptions = field(default_factory=FinetuneOptions)
    hold_out: Protocol | None = None
    """Events held out from it, as from the training that will use it."""

    def folder(self, dataset: Dataset, home: Path) -> Path:
        """The encoder's folder."""
        said = orjson.dumps(self._values(), option=orjson.OPT_SORT_KEYS)
        return home / "encoders" / f"{dataset.fingerprint[:12]}-{hashlib.sha256(said).hexdigest()[:12]}"

    def validation(self, dataset: Dataset) -> Split:
        """The validation split of a training with the same events held out; pairs come from its `train` alone."""
        seed = self.options.seed
        visible = visible_events(dataset.events, self.hold_out, seed)
        return sample_people(hold_out(visible, Protocol.MIXED), TrainOptions().evaluated_people, seed)

    def encoder(
        self, dataset: Dataset, home: Path, on_step: OnStep = lambda done, total, loss: None
    ) -> tuple[Path, FinetunedFacts]:
        """The encoder's folder and provenance; fine-tuned when it does not exist yet.

        Raises: NothingLiked.
        """
        folder = self.folder(dataset, home)
        if found := FinetunedFacts.load(folder):
            return folder, found
        losses: list[float] = []

        def step(done: int, total: int, loss: float) -> None:
            losses.append(loss)
            on_step(done, total, loss)

        finetune_text(dataset.catalog, self.validation(dataset).train, folder, self.options, step)
        tenth = max(1, len(losses) // 10)
        facts = FinetunedFacts(
            data=dataset.name, fingerprint=dataset.fingerprint, **self._values(), steps=len(losses),
            first_loss=float(np.mean(losses[:tenth])), last_loss=float(np.mean(losses[-tenth:])),
        )  # fmt: skip
        facts.save(folder)
        return folder, facts

    def _values(self) -> dict[str, Any]:
        options = asdict(self.options)
        seed = options.pop("seed")
        del options["device"]
        return {"hold_out": self.hold_out and str(self.hold_out), "seed": seed, "options": options}


def text_quality(content: ContentVectors, split: Split, config: ContentProfileConfig) -> RankingMetrics:
    """Metrics of the text source alone for everyone of a split, ranking the whole catalogue."""
    text, no_poster = content.projected_text(), np.zeros((len(content.text), 1), dtype=np.float32)
    profile = content_profile(text, content.text_present, no_poster, np.zeros(len(text), np.bool_), config).eval()
    people = encode({"profile": profile}, "profile", history_tensors(split.histories))[0]
    counts = np.bincount(split.train.item_rows, minlength=len(text)).astype(np.float32)
    scores = (people @ centre(text, content.text_present).T).astype(np.float32)
    return measure(rank(scores, [history.item_rows for history in split.histories]), split.targets, counts)
