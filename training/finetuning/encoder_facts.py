"""Provenance of a fine-tuned text encoder, and the check that it is not tested on its own training events."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

import orjson

from training.data.dataset import Dataset
from training.data.errors import DataError
from training.data.splits import Protocol
from training.options import TrainOptions

FACTS_FILE = "finetuned.json"


class EncoderKnowsTheTest(DataError):
    """The text encoder was trained on events that the training would be tested on."""

    def __init__(self, folder: Path, held_out: str | None, wanted: str, data: str) -> None:
        super().__init__(
            f"the text encoder in {folder} was fine-tuned with {held_out or 'nothing'} held out, not {wanted}: it has "
            f"seen events of the test. Make another: python -m training finetune --data {data} --hold-out {wanted}"
        )


@dataclass(frozen=True, slots=True)
class FinetunedFacts:
    """Provenance of a fine-tuned encoder, stored beside its weights."""

    data: str
    """Name of the data set."""
    fingerprint: str
    """Of the data set."""
    hold_out: str | None
    """The protocol whose events were held out."""
    seed: int
    """Of the protocol and of all sampling."""
    options: dict[str, object]
    """Those of `training.finetuning.text.FinetuneOptions`."""
    steps: int
    first_loss: float
    last_loss: float
    """Means over the first and the last tenth of the steps."""

    def save(self, folder: Path) -> None:
        """Write them into an encoder's folder."""
        (folder / FACTS_FILE).write_bytes(orjson.dumps(asdict(self), option=orjson.OPT_INDENT_2))

    @classmethod
    def load(cls, folder: Path) -> FinetunedFacts | None:
        """Read from an encoder's folder; None when it was not fine-tuned by Marquee, or not to the end."""
        path = folder / FACTS_FILE
        return cls(**orjson.loads(path.read_bytes())) if path.exists() else None


def check_encoder(dataset: Dataset, options: TrainOptions) -> None:
    """Refuse a training that would be tested on events that its text encoder was trained on.

    An encoder without this file is accepted. Raises: EncoderKnowsTheTest.
    """
    folder = options.content.text_encoder_folder
    if folder is None or options.hold_out is None:
        return
    facts = FinetunedFacts.load(folder)
    if facts is None or facts.fingerprint != dataset.fingerprint:
        return
    drawn_alike = options.hold_out is not Protocol.RANDOM or facts.seed == options.seed
    if facts.hold_out != options.hold_out or not drawn_alike:
        raise EncoderKnowsTheTest(folder, facts.hold_out, options.hold_out, dataset.name)
