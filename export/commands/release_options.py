"""What a release is made from, and how, as given on the command line; imports nothing slow."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from training.options import TrainOptions

HoldOut = Literal["last5", "last1", "newuser", "random", "mixed"]
"""The names of `training.data.splits.Protocol`."""

IndexName = Literal["flat", "ivf", "hnsw", "ivfpq", "qdrant"]
"""The names of `export.index.faiss_index.IndexKind`, and qdrant, with which the release holds a flat index."""

PrecisionName = Literal["fp32", "fp16", "int8"]
"""The names of `export.graphs.precision.Precision`."""


@dataclass(frozen=True, slots=True)
class ReleaseOptions:
    """Data, training and form of a release."""

    data: str
    """`sample`, a path, or the name of a downloaded data set."""
    hold_out: HoldOut | None = None
    """Events kept away from the models, so that the served release can be scored on them."""
    seed: int = 0
    posters: bool = True
    device: str = "auto"
    precision: PrecisionName = "fp32"
    """Of the exported networks; see `export.graphs.precision`."""
    poster_weights: str = "auto"
    """Of the poster network; see `training.content.poster_network`."""
    options_file: Path | None = None
    """JSON that replaces default options of the training; see `training.options`."""

    index: IndexName = "flat"
    """Kind of the retrieval index; see `export.index.faiss_index`."""

    @property
    def released_index(self) -> Literal["flat", "ivf", "hnsw", "ivfpq"]:
        """The kind that the release holds."""
        return "flat" if self.index == "qdrant" else self.index

    @property
    def key(self) -> str:
        """Equal for options of the same training, in whatever folder the command runs."""
        path = Path(self.data)
        data = str(path.resolve()) if self.data != "sample" and path.exists() else self.data
        posters = self.poster_weights if self.posters else None
        options = self.options_file.read_text(encoding="utf-8") if self.options_file else None
        return f"{data} hold_out={self.hold_out} seed={self.seed} posters={posters} options={options}"

    def train_options(self) -> TrainOptions:
        """As training understands it; takes seconds the first time, because torch is imported.

        Raises: training.options.OptionsError.
        """
        from training.data.splits import Protocol
        from training.options import TrainOptions, read_options

        hold_out = Protocol(self.hold_out) if self.hold_out else None
        options = read_options(self.options_file, TrainOptions()) if self.options_file else TrainOptions()
        options = replace(options, hold_out=hold_out, seed=self.seed, device=self.device)
        content = replace(options.content, posters=self.posters, poster_weights=self.poster_weights, seed=self.seed)
        return replace(options, content=content)
