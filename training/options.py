"""Everything a training can be told, in one frozen tree whose hash names the checkpoint."""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass, field

import orjson
import torch

from training.content import ContentOptions, text_encoder_hash
from training.models.content_profile import ContentProfileConfig
from training.models.ease import EaseConfig
from training.models.ials import IalsConfig
from training.models.mlp_scorer import MlpScorerConfig
from training.models.popularity import PopularityConfig
from training.models.sequence import SequenceConfig
from training.models.two_tower import TwoTowerConfig
from training.splits import Protocol


@dataclass(frozen=True, slots=True)
class TrainOptions:
    """One training. Equal options on equal data give the same release."""

    hold_out: Protocol | None = None
    """Events kept away from everything that is trained, so that the served release can be scored on them."""
    seed: int = 0
    device: str = "auto"
    """"auto", "cuda", "mps" or "cpu"; not part of the hash."""
    evaluated_people: int = 1000
    """At most this many validation people, drawn at random, choose epochs and fusion weights."""
    tested_people: int = 5000
    """At most this many people, drawn at random, are scored on the events held out."""
    content: ContentOptions = field(default_factory=ContentOptions)
    popularity: PopularityConfig = field(default_factory=PopularityConfig)
    ease: EaseConfig = field(default_factory=EaseConfig)
    ials: IalsConfig = field(default_factory=IalsConfig)
    content_profile: ContentProfileConfig = field(default_factory=ContentProfileConfig)
    sequence: SequenceConfig = field(default_factory=SequenceConfig)
    two_tower: TwoTowerConfig = field(default_factory=TwoTowerConfig)
    mlp_scorer: MlpScorerConfig = field(default_factory=MlpScorerConfig)

    @property
    def hash(self) -> str:
        """Twelve hexadecimal digits that change with every option that changes the result.

        A text encoder counts by what it is, not by where it lies.
        """
        values = {name: value for name, value in asdict(self).items() if name != "device"}
        if folder := self.content.text_encoder_folder:
            values["content"]["text_encoder_folder"] = text_encoder_hash(folder)
        return hashlib.sha256(orjson.dumps(values, default=str, option=orjson.OPT_SORT_KEYS)).hexdigest()[:12]


def pick_device(name: str) -> torch.device:
    """The device of a name; "auto" takes CUDA, else Apple's GPU, else the CPU."""
    if name != "auto":
        return torch.device(name)
    if torch.cuda.is_available():
        return torch.device("cuda")
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
