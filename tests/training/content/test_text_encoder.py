"""Tests of the text encoder: the same vectors as sentence-transformers, whatever the batch and the format."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from tokenizers import Tokenizer

from features.text import MAX_TOKENS, open_tokenizer, tokenize
from training.content.text_encoder import (
    TEXT_WIDTH,
    EncoderRefused,
    TextEncoder,
    encode_texts,
    load_text_encoder,
    open_sentence_transformer,
    packaged_model_folder,
    tokenizer_json,
)

TEXTS = [
    "Toy Story (1995). Animation, Children, Comedy.",
    "",
    "Heat",
    "Amélie (2001). Ein Märchen aus Paris. 天使爱美丽",
    "A thief plans one last robbery, and a detective who sleeps as little as he does follows him. " * 30,
]


@pytest.fixture(scope="module")
def encoder() -> TextEncoder:
    return load_text_encoder()


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return open_tokenizer(tokenizer_json())


@pytest.fixture(scope="module")
def reference() -> np.ndarray:
    """(len(TEXTS), 384) as sentence-transformers encodes them."""
    return open_sentence_transformer(packaged_model_folder()).encode(
        TEXTS, normalize_embeddings=True, show_progress_bar=False
    )


def tensors(tokenizer: Tokenizer, texts: list[str]) -> tuple[torch.Tensor, torch.Tensor]:
    input_ids, attention_mask = tokenize(tokenizer, texts)
    return torch.from_numpy(input_ids), torch.from_numpy(attention_mask)


def assert_same_directions(vectors: np.ndarray, reference: np.ndarray) -> None:
    cosines = (vectors * reference).sum(axis=1)
    assert cosines.min() >= 0.99999, cosines


def test_vectors_equal_sentence_transformers(encoder: TextEncoder, tokenizer: Tokenizer, reference: np.ndarray) -> None:
    vectors = encode_texts(encoder, tokenizer, TEXTS)
    assert vectors.shape == (len(TEXTS), TEXT_WIDTH)
    assert_same_directions(vectors, reference)
    # float32 sums in another order; a wrong pooling or mask differs by 1e-2
    np.testing.assert_allclose(vectors, reference, atol=2e-6)


def test_tokens_equal_sentence_transformers(tokenizer: Tokenizer) -> None:
    features = open_sentence_transformer(packaged_model_folder()).tokenize(TEXTS)
    input_ids, attention_mask = tokenize(tokenizer, TEXTS)
    assert input_ids.shape[1] == MAX_TOKENS  # the last text is longer
    assert input_ids.tolist() == features["input_ids"].tolist()
    assert attention_mask.tolist() == features["attention_mask"].tolist()


def test_vector_of_a_text_does_not_depend_on_its_batch(encoder: TextEncoder, tokenizer: Tokenizer) -> None:
    together = encode_texts(encoder, tokenizer, TEXTS)
    for row, text in enumerate(TEXTS):
        # float32 sums over another padded length
        np.testing.assert_allclose(encode_texts(encoder, tokenizer, [text])[0], together[row], atol=2e-6)


def test_vectors_have_length_one(encoder: TextEncoder, tokenizer: Tokenizer) -> None:
    np.testing.assert_allclose(np.linalg.norm(encode_texts(encoder, tokenizer, TEXTS), axis=1), 1, atol=1e-6)


def test_row_of_padding_alone_is_finite(encoder: TextEncoder) -> None:
    (embedding,) = encoder(torch.zeros(1, 4, dtype=torch.int64), torch.zeros(1, 4, dtype=torch.int64))
    assert torch.isfinite(embedding).all()


def test_no_texts_give_no_vectors(encoder: TextEncoder, tokenizer: Tokenizer) -> None:
    assert encode_texts(encoder, tokenizer, []).shape == (0, TEXT_WIDTH)


def test_every_text_is_counted_as_done(encoder: TextEncoder, tokenizer: Tokenizer) -> None:
    done: list[int] = []
    encode_texts(encoder, tokenizer, ["a", "b"] * 50, done.append)
    assert sum(done) == 100


def test_encoding_leaves_torchs_threads_as_they_were(encoder: TextEncoder, tokenizer: Tokenizer) -> None:
    before = torch.get_num_threads()
    encode_texts(encoder, tokenizer, TEXTS)
    assert torch.get_num_threads() == before


def test_film_is_nearest_to_its_sequel(encoder: TextEncoder, tokenizer: Tokenizer) -> None:
    films = [
        "A cowboy doll is jealous of a space ranger toy.",
        "Toys set out to rescue a cowboy doll from a collector.",
        "A mafia family hands its power to the youngest son.",
        "A shark frightens the bathers of a small town.",
    ]
    vectors = encode_texts(encoder, tokenizer, films)
    assert np.argsort(-(vectors @ vectors[0]))[1] == 1


@pytest.fixture(scope="module")
def exported(encoder: TextEncoder, tokenizer: Tokenizer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("exported") / "model.onnx"
    torch.onnx.export(
        encoder,
        tensors(tokenizer, TEXTS[:2]),
        path,
        dynamo=True,
        verbose=False,
        input_names=list(encoder.input_names),
        output_names=list(encoder.output_names),
        dynamic_shapes=({0: "batch", 1: "length"}, {0: "batch", 1: "length"}),
    )
    return path


def onnx_encode(path: Path) -> Callable[[torch.Tensor, torch.Tensor], np.ndarray]:
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return lambda ids, mask: session.run(["embedding"], {"input_ids": ids.numpy(), "attention_mask": mask.numpy()})[0]


@pytest.mark.filterwarnings("ignore")  # the exporter's, about its own insides
def test_onnx_gives_the_same_vectors_for_any_batch_and_length(
    exported: Path, tokenizer: Tokenizer, reference: np.ndarray
) -> None:
    encode = onnx_encode(exported)
    for rows in ([0], [1], [2, 0], [0, 1, 2, 3, 4], [3] * 7):
        vectors = encode(*tensors(tokenizer, [TEXTS[row] for row in rows]))
        assert_same_directions(vectors, reference[rows])


@pytest.mark.filterwarnings("ignore")  # the tracer's, about its own insides
def test_traced_encoder_gives_the_same_vectors_for_any_batch_and_length(
    encoder: TextEncoder, tokenizer: Tokenizer, reference: np.ndarray
) -> None:
    traced = torch.jit.trace(encoder, tensors(tokenizer, TEXTS[:2]))
    for rows in ([0], [1], [0, 1, 2, 3, 4]):
        (vectors,) = traced(*tensors(tokenizer, [TEXTS[row] for row in rows]))
        assert_same_directions(vectors.detach().numpy(), reference[rows])


def test_an_encoder_of_another_kind_is_refused(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "mpnet"}')
    with pytest.raises(EncoderRefused, match="is of the kind 'mpnet', not 'bert': fine-tune all-MiniLM-L6-v2"):
        load_text_encoder(tmp_path)
