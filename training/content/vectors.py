"""Content vectors of films: text and poster vectors, and the encoders that made them."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt
import orjson
from safetensors.torch import save_file

from features.sources import SOURCE_WIDTHS
from training.content.poster_encoder import PosterEncoder, load_poster_encoder
from training.content.projection import Projection
from training.content.text_encoder import TextEncoder, load_text_encoder

TEXT_PROJECTED_WIDTH = SOURCE_WIDTHS["text"]
POSTER_PROJECTED_WIDTH = SOURCE_WIDTHS["poster"]

_ARRAYS = ("text", "text_present", "poster", "poster_present")


@dataclass(frozen=True)
class ContentVectors:
    """Vectors of N films in row order, length 1; zeros where `*_present` is False.

    No poster at hand (MovieLens has none): `image_encoder` is None, `poster_size` 0, no film has a poster vector, and
    a release made from this leaves the image models out.
    """

    text: npt.NDArray[np.float32]
    """(N, 384)"""
    text_present: npt.NDArray[np.bool_]
    """(N,) False only for films without a title."""
    poster: npt.NDArray[np.float32]
    """(N, 2048)"""
    poster_present: npt.NDArray[np.bool_]
    """(N,) False where there is no poster, or none that can be read."""
    text_pca: Projection
    """384 -> 128, fitted on the films that have text."""
    poster_pca: Projection
    """2048 -> 64, fitted on the films that have a poster."""
    tokenizer_json: bytes
    """The text encoder's tokenizer, as `features.text.open_tokenizer` reads it."""
    text_encoder_folder: Path | None
    """Folder of a fine-tuned text encoder; None = the installed package's."""
    image_encoder: PosterEncoder | None
    poster_size: int
    """S, pixels a side that `image_encoder` takes; 0 without it."""
    poster_weights: str
    """Source of the image encoder's weights, for display: "trained from scratch on 330 posters"."""

    @cached_property
    def text_encoder(self) -> TextEncoder:
        """Loaded on first use: it takes seconds, and vectors from the cache do without."""
        return load_text_encoder(self.text_encoder_folder)

    def projected_text(self) -> npt.NDArray[np.float32]:
        """(N, 128) text vectors in the fused space's width, centred; zeros where absent."""
        return self.text_pca(self.text) * self.text_present[:, None]

    def projected_poster(self) -> npt.NDArray[np.float32]:
        """(N, 64) poster vectors in the fused space's width, centred; zeros where absent."""
        return self.poster_pca(self.poster) * self.poster_present[:, None]

    def coverage(self) -> dict[str, float]:
        """Share of films, 0..1, that have a text and a poster vector."""
        n = max(1, len(self.text))
        return {"text": float(self.text_present.sum() / n), "poster": float(self.poster_present.sum() / n)}

    def save(self, folder: Path) -> None:
        """Write everything below `folder` (made when missing): arrays, weights, tokenizer; nothing pickled."""
        folder.mkdir(parents=True, exist_ok=True)
        arrays = {name: getattr(self, name) for name in _ARRAYS}
        for name, projection in (("text", self.text_pca), ("poster", self.poster_pca)):
            arrays[f"{name}_pca_mean"], arrays[f"{name}_pca_components"] = projection.mean, projection.components
        np.savez(folder / "vectors.npz", allow_pickle=False, **arrays)
        (folder / "tokenizer.json").write_bytes(self.tokenizer_json)
        if self.image_encoder is not None:
            save_file(self.image_encoder.backbone.state_dict(), folder / "image_encoder.safetensors")
        if self.text_encoder_folder is not None:
            shutil.copytree(self.text_encoder_folder, folder / "text_encoder", dirs_exist_ok=True)
        facts = {
            "poster_size": self.poster_size,
            "poster_weights": self.poster_weights,
            "text_encoder_saved": self.text_encoder_folder is not None,
        }
        (folder / "content.json").write_bytes(orjson.dumps(facts, option=orjson.OPT_INDENT_2))

    @classmethod
    def load(cls, folder: Path) -> ContentVectors:
        """Read what `save` wrote.

        Raises: FileNotFoundError when a part is missing, PosterWeightsError when the image encoder's file is damaged.
        """
        facts = orjson.loads((folder / "content.json").read_bytes())
        with np.load(folder / "vectors.npz", allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in _ARRAYS}
            text_pca, poster_pca = (
                Projection(stored[f"{name}_pca_mean"], stored[f"{name}_pca_components"]) for name in ("text", "poster")
            )
        with_posters = facts["poster_size"] > 0
        return cls(
            **arrays,
            text_pca=text_pca,
            poster_pca=poster_pca,
            tokenizer_json=(folder / "tokenizer.json").read_bytes(),
            text_encoder_folder=folder / "text_encoder" if facts["text_encoder_saved"] else None,
            image_encoder=load_poster_encoder(folder / "image_encoder.safetensors") if with_posters else None,
            poster_size=facts["poster_size"],
            poster_weights=facts["poster_weights"],
        )
