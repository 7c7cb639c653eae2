"""Embeddings of any texts by the release's text encoder, with the tokens that each text cost.

The same two models as the ensemble `text_embedding`, asked one after the other, since the ensemble does not say how
many tokens it read. Texts of like length share a request, so that none is padded more than the ensemble would pad it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from tritonclient.grpc.model_config_pb2 import ModelConfig

from bento.inference.core.messages import InferRequest, InferResponse
from bento.release.loading import Release
from features.text import MAX_TOKENS, PADDING_ID, open_tokenizer

TOKENIZER, ENCODER, ENSEMBLE = "tokenizer", "text_encoder", "text_embedding"

Ids = npt.NDArray[np.int64]


class TextModels(Protocol):
    """What is needed of the inference server."""

    async def infer(self, request: InferRequest) -> InferResponse:
        """Answer one request. Raises: InferenceError."""

    def is_model_ready(self, name: str, version: str = "") -> bool:
        """Whether a model version takes requests."""

    def model_config(self, name: str, version: str = "") -> ModelConfig:
        """The complete configuration. Raises: InferenceError."""


@dataclass(frozen=True, slots=True)
class TextVectors:
    """Embeddings of some texts."""

    vectors: npt.NDArray[np.float32]
    """(B, D), each of length 1."""
    tokens: int
    """That the encoder read, over all texts, with the marks at both ends of each."""


class TextEmbeddings:
    """The text encoder of one release."""

    def __init__(self, models: TextModels, release: Release) -> None:
        self._models = models
        self._release = release
        self._version = str(release.number)

    def names(self) -> list[str]:
        """Names under which the encoder is served now: the ensemble's and its own."""
        ready = all(self._models.is_model_ready(name, self._version) for name in (TOKENIZER, ENCODER))
        served = (ENSEMBLE, ENCODER) if ready else ()
        return [name for name in served if self._models.is_model_ready(name, self._version)]

    @cached_property
    def vocabulary_size(self) -> int:
        """Token ids are below it. Reads the release's tokenizer when it is first asked for, some 30 ms."""
        path = self._release.repository / TOKENIZER / self._version / "tokenizer.json"
        return open_tokenizer(path.read_bytes()).get_vocab_size()

    def width(self) -> int:
        """D. Raises: InferenceError when the encoder is not served."""
        return int(self._models.model_config(ENCODER, self._version).output[0].dims[-1])

    async def of_texts(self, texts: Sequence[str]) -> TextVectors:
        """Embed texts; what is beyond MAX_TOKENS of one does not count. Raises: InferenceError."""
        limit = self._models.model_config(TOKENIZER, self._version).max_batch_size
        parts = [texts[start : start + limit] for start in range(0, len(texts), limit)]
        tokenized = await asyncio.gather(*(self._tokenize(part) for part in parts))
        return await self.of_tokens([ids for part in tokenized for ids in part])

    async def of_tokens(self, rows: Sequence[Ids]) -> TextVectors:
        """Embed token ids as the encoder reads them, marks included; 1 to MAX_TOKENS a text, of the vocabulary.

        Raises: InferenceError.
        """
        limit = self._models.model_config(ENCODER, self._version).max_batch_size
        batches = list(_batches(rows, self._length_step(), limit))
        encoded = await asyncio.gather(*(self._encode([rows[at] for at in batch], n) for n, batch in batches))
        vectors = np.zeros((len(rows), self.width()), dtype=np.float32)
        for (_, batch), found in zip(batches, encoded, strict=True):
            vectors[batch] = found
        return TextVectors(vectors, sum(map(len, rows)))

    async def _tokenize(self, texts: Sequence[str]) -> list[Ids]:
        given = np.array([[text.encode()] for text in texts], dtype=object)
        outputs = await self._infer(TOKENIZER, TEXT=given)
        lengths = outputs["attention_mask"].sum(axis=1)
        return [ids[:length] for ids, length in zip(outputs["input_ids"], lengths, strict=True)]

    async def _encode(self, rows: Sequence[Ids], length: int) -> npt.NDArray[np.float32]:
        input_ids = np.full((len(rows), length), PADDING_ID, dtype=np.int64)
        attention_mask = np.zeros_like(input_ids)
        for row, ids in enumerate(rows):  # ragged input: one slice copy per text
            input_ids[row, : len(ids)] = ids
            attention_mask[row, : len(ids)] = 1
        outputs = await self._infer(ENCODER, input_ids=input_ids, attention_mask=attention_mask)
        embedding: npt.NDArray[np.float32] = outputs["embedding"]
        return embedding

    def _length_step(self) -> int:
        """Lengths that the tokenizer rounds up to, so that requests of several clients can share a batch."""
        parameters = self._models.model_config(TOKENIZER, self._version).parameters
        return int(parameters["pad_to_multiple_of"].string_value)

    async def _infer(self, model: str, **inputs: Any) -> dict[str, Any]:
        return (await self._models.infer(InferRequest(model, inputs, model_version=self._version))).outputs


def _batches(rows: Sequence[Ids], step: int, limit: int) -> Iterable[tuple[int, list[int]]]:
    """Positions of rows that are encoded together, at most `limit`, with the length that they are padded to."""
    by_length: dict[int, list[int]] = {}
    for at, ids in enumerate(rows):
        by_length.setdefault(min(-(-len(ids) // step) * step, MAX_TOKENS), []).append(at)
    for length, positions in sorted(by_length.items()):
        for start in range(0, len(positions), limit):
            yield length, positions[start : start + limit]
