"""Tests of `features.text`: the words a film becomes, and their tokens."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from tokenizers import Tokenizer, models, pre_tokenizers, processors

import features.text
from features.catalog import Film
from features.text import MAX_TAGS, MAX_TOKENS, PADDING_ID, film_text, open_tokenizer, tokenize

HEAT = Film(
    movie_id=6,
    title="Heat",
    year=1995,
    genres=("Crime", "Thriller"),
    director="Michael Mann",
    cast=("Al Pacino", "Robert De Niro"),
    country="USA",
    overview="A thief plans\n one last robbery.",
    tags=("bank", "duel"),
)


@pytest.fixture
def tokenizer() -> Tokenizer:
    """Words of one letter: a = 3, b = 4; [CLS] = 1 and [SEP] = 2 around each text, padded to 8 by its own file."""
    bare = Tokenizer(models.WordLevel({"[PAD]": 0, "[CLS]": 1, "[SEP]": 2, "a": 3, "b": 4}, unk_token="[PAD]"))
    bare.pre_tokenizer = pre_tokenizers.Whitespace()
    bare.post_processor = processors.TemplateProcessing("[CLS] $A [SEP]", special_tokens=[("[CLS]", 1), ("[SEP]", 2)])
    bare.enable_padding(length=8)
    bare.enable_truncation(4)
    return open_tokenizer(bare.to_str().encode())


def test_text_holds_everything_known_about_a_film() -> None:
    assert film_text(HEAT) == (
        "Heat (1995). Crime, Thriller. A thief plans one last robbery. Directed by Michael Mann. "
        "Starring Al Pacino, Robert De Niro. From USA. Tags: bank, duel."
    )


def test_film_without_overview_still_has_title_and_genres() -> None:
    assert film_text(Film(1, "Toy Story", 1995, ("Animation", "Comedy"))) == "Toy Story (1995). Animation, Comedy."


def test_film_of_unknown_year_and_genre_has_its_title() -> None:
    assert film_text(Film(1, "Toy Story")) == "Toy Story."


def test_film_without_title_has_no_text() -> None:
    assert film_text(Film(1, " ", 1995, ("Drama",))) == ""


def test_only_the_most_frequent_tags_are_told() -> None:
    tags = tuple(f"t{index:02}" for index in range(MAX_TAGS + 5))
    assert film_text(Film(1, "Up", tags=tags)).endswith(f"t{MAX_TAGS - 1:02}.")


def test_texts_are_padded_on_the_right_to_the_longest_of_the_batch(tokenizer: Tokenizer) -> None:
    input_ids, attention_mask = tokenize(tokenizer, ["a b a", "b"])
    assert input_ids.tolist() == [[1, 3, 4, 3, 2], [1, 4, 2, PADDING_ID, PADDING_ID]]
    assert attention_mask.tolist() == [[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]]
    assert input_ids.dtype == attention_mask.dtype == np.int64


def test_tokens_are_whole_numbers_of_64_bits_as_the_encoder_reads_them(tokenizer: Tokenizer) -> None:
    assert [tensor.dtype for tensor in tokenize(tokenizer, ["a"])] == [np.int64, np.int64]


def test_an_overview_ends_in_one_full_stop() -> None:
    film = Film(1, "Heat", overview=" A cop\n and a   thief... ")
    assert film_text(film) == "Heat. A cop and a thief."


def test_empty_text_is_the_two_special_tokens(tokenizer: Tokenizer) -> None:
    input_ids, attention_mask = tokenize(tokenizer, [""])
    assert input_ids.tolist() == [[1, 2]]
    assert attention_mask.tolist() == [[1, 1]]


def test_no_texts_give_empty_tensors(tokenizer: Tokenizer) -> None:
    input_ids, attention_mask = tokenize(tokenizer, [])
    assert input_ids.shape == attention_mask.shape == (0, 0)


def test_long_text_loses_its_end_but_keeps_the_closing_token(tokenizer: Tokenizer) -> None:
    input_ids, _ = tokenize(tokenizer, ["a " * 1_000])
    assert input_ids.shape == (1, MAX_TOKENS)
    assert input_ids[0, -1] == 2


def test_bytes_that_are_no_tokenizer_are_refused() -> None:
    with pytest.raises(ValueError, match=r"not a tokenizer\.json"):
        open_tokenizer(b"{}")


def test_bytes_that_are_no_text_are_refused() -> None:
    with pytest.raises(ValueError, match=r"not a tokenizer\.json"):
        open_tokenizer(b"\xff\xfe")


@pytest.mark.parametrize("module", ["text", "posters"])
def test_module_runs_alone_beside_a_model(module: str, tmp_path: Path) -> None:
    """As export places it: one file, without the package around it, and without torch or transformers."""
    source = Path(features.text.__file__).with_name(f"{module}.py")
    (tmp_path / f"{module}.py").write_bytes(source.read_bytes())
    program = f"import sys, {module}; assert not {{'features', 'torch', 'transformers'}} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", program], cwd=tmp_path, check=True)
