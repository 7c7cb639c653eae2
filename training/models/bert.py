"""BERT's encoder in plain torch, as all-MiniLM-L6-v2 is built.

transformers has the same network behind seven seconds of imports, which a first start would wait for, and with an
attention mask that exports for one shape only. Tests hold the two equal.

Source: Devlin et al., "BERT: Pre-training of Deep Bidirectional Transformers", NAACL 2019.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import orjson
import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor, nn

from training.data_errors import DataError

MASKED = -1e9
"""Added to the attention score of padding. Finite: a row of minus infinities would turn into NaN."""

_LAYER_PARTS = {
    "attention.output.dense": "mixed",
    "attention.output.LayerNorm": "norm_attention",
    "intermediate.dense": "expand",
    "output.dense": "contract",
    "output.LayerNorm": "norm_feed",
}
"""Names in BERT's files → ours; query, key and value become one."""


class EncoderRefused(DataError):
    """A folder's text encoder is of a kind that is not served."""

    def __init__(self, folder: Path, what: str, found: object, wanted: object) -> None:
        super().__init__(
            f"the text encoder in {folder} has {what} {found!r}, not {wanted!r}: fine-tune all-MiniLM-L6-v2 with "
            "`python -m training finetune`, or leave the encoder's folder out"
        )


@dataclass(frozen=True, slots=True)
class BertShape:
    """Sizes of a network."""

    words: int
    positions: int
    width: int
    feed_width: int
    layers: int
    heads: int
    epsilon: float
    """Of the layer norms."""

    @classmethod
    def read(cls, folder: Path) -> BertShape:
        """From `config.json`. Raises: EncoderRefused."""
        config = orjson.loads((folder / "config.json").read_bytes())
        for what, wanted in {"model_type": "bert", "hidden_act": "gelu"}.items():
            if config[what] != wanted:
                raise EncoderRefused(folder, what, config[what], wanted)
        return cls(
            config["vocab_size"], config["max_position_embeddings"], config["hidden_size"],
            config["intermediate_size"], config["num_hidden_layers"], config["num_attention_heads"],
            config["layer_norm_eps"],
        )  # fmt: skip


class BertLayer(nn.Module):
    """Attention and a feed-forward net, each followed by a norm."""

    def __init__(self, shape: BertShape) -> None:
        super().__init__()
        self.heads, self.head_width = shape.heads, shape.width // shape.heads
        self.qkv, self.mixed = nn.Linear(shape.width, 3 * shape.width), nn.Linear(shape.width, shape.width)
        self.expand = nn.Linear(shape.width, shape.feed_width)
        self.contract = nn.Linear(shape.feed_width, shape.width)
        self.norm_attention = nn.LayerNorm(shape.width, shape.epsilon)
        self.norm_feed = nn.LayerNorm(shape.width, shape.epsilon)

    def forward(self, x: Tensor, masked: Tensor) -> Tensor:
        """(B, L, D), (B, 1, 1, L) added to the scores → (B, L, D)."""
        b, length, d = x.shape
        q, k, v = self.qkv(x).reshape(b, length, 3, self.heads, self.head_width).permute(2, 0, 3, 1, 4)
        attention = torch.softmax(q @ k.transpose(-1, -2) * self.head_width**-0.5 + masked, dim=-1)
        x = self.norm_attention(x + self.mixed((attention @ v).transpose(1, 2).reshape(b, length, d)))
        return self.norm_feed(x + self.contract(F.gelu(self.expand(x))))


class Bert(nn.Module):
    """Token ids to a vector for each token."""

    def __init__(self, shape: BertShape) -> None:
        super().__init__()
        self.words = nn.Parameter(torch.empty(shape.words, shape.width))
        self.positions = nn.Parameter(torch.empty(shape.positions, shape.width))
        self.norm = nn.LayerNorm(shape.width, shape.epsilon)
        self.layers = nn.ModuleList(BertLayer(shape) for _ in range(shape.layers))

    def forward(self, input_ids: Tensor, kept: Tensor) -> Tensor:
        """(B, L) ids, (B, L) 1 on tokens and 0 on padding → (B, L, D)."""
        masked = (1 - kept)[:, None, None, :] * MASKED
        x = self.norm(self.words[input_ids] + self.positions[: input_ids.shape[1]])
        for layer in self.layers:
            x = layer(x, masked)
        return x


def load_bert(folder: Path) -> Bert:
    """The network of a folder in transformers' layout. Raises: EncoderRefused."""
    shape = BertShape.read(folder)
    with torch.device("meta"):  # shapes alone: random numbers would only be overwritten
        bert = Bert(shape)
    bert.load_state_dict(_our_names(load_file(folder / "model.safetensors"), shape.layers), assign=True)
    return bert


def _our_names(stored: dict[str, Tensor], layers: int) -> dict[str, Tensor]:
    """A file's tensors as `Bert` calls them. All tokens are of type 0, whose vector joins those of the positions."""
    ours = {
        "words": stored["embeddings.word_embeddings.weight"],
        "positions": stored["embeddings.position_embeddings.weight"]
        + stored["embeddings.token_type_embeddings.weight"][0],
        "norm.weight": stored["embeddings.LayerNorm.weight"],
        "norm.bias": stored["embeddings.LayerNorm.bias"],
    }
    for layer in range(layers):
        there, here = f"encoder.layer.{layer}", f"layers.{layer}"
        for kind in ("weight", "bias"):
            parts = [stored[f"{there}.attention.self.{part}.{kind}"] for part in ("query", "key", "value")]
            ours[f"{here}.qkv.{kind}"] = torch.cat(parts)
            ours |= {f"{here}.{name}.{kind}": stored[f"{there}.{part}.{kind}"] for part, name in _LAYER_PARTS.items()}
    return ours
